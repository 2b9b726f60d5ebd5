"""Drawn pictures of six household things with exact boxes and masks: endless data without a download."""

from fbnetv3.scenes.scene import SCENE_LABELS, Scene, generate_scene

__all__ = ["SCENE_LABELS", "Scene", "generate_scene"]
