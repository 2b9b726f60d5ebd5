"""Labels that look wrong: a project's annotations, or a COCO file, against models that have not trained on them."""
