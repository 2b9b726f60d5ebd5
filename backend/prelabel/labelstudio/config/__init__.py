"""What a labelling config asks for: labels, controls, pages, choices and smart tools."""
