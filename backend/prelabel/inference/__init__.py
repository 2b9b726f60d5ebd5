"""How a task gets its prediction, and a prompt its mask: from images, a detector and a labelling config to regions."""
