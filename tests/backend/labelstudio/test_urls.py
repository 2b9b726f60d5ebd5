"""What messages show of an image's URL: where it lies, and nothing that is secret."""

from __future__ import annotations

import pytest

from prelabel.labelstudio.urls import presign_path, shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/data/local-files/?d=dir/x.jpg", "/data/local-files/?d=dir/x.jpg"),
        ("/data/local-files?d=dir%2Fa%20b.jpg", "/data/local-files?d=dir/a b.jpg"),
        ("/data/local-files/?token=secret&d=x.jpg&sig=secret", "/data/local-files/?d=x.jpg"),
        ("/data/local-files/?d=x.jpg%3Ftoken=secret", "/data/local-files/?d=x.jpg"),
        ("/data/local-files/?d=http://u:secret@host/x.jpg", "/data/local-files/?d=host/x.jpg"),
        ("/data/local-files/?d=a%0Ab.jpg", "/data/local-files/?d=a?b.jpg"),
        ("/data/local-files/?token=secret", "/data/local-files/"),
        ("http://u:secret@ls:8080/tool/data/local-files/?d=x.jpg", "ls:8080/tool/data/local-files/?d=x.jpg"),
        ("http://host/other/?d=secret", "host/other/"),
        ("http://host/a.jpg?X-Amz-Signature=secret#secret", "host/a.jpg"),
        (presign_path("s3://bucket/dir/x.jpg", 5), "/tasks/5/presign/ of s3://bucket/dir/x.jpg"),
        (presign_path("gs://b/x.jpg?sig=secret", 5), "/tasks/5/presign/ of gs://b/x.jpg"),
        ("http://ls/tasks/5/resolve/?fileuri=c2VjcmV0", "ls/tasks/5/resolve/"),
        ("/tasks/5/presign/?fileuri=%%%", "/tasks/5/presign/"),
        ("s3://user:secret@My_Bucket/x.jpg?sig=secret", "s3://My_Bucket/x.jpg"),
        ("azure-blob://box/a.jpg", "azure-blob://box/a.jpg"),
        ("data:image/png;base64,secret", "a data: URI"),
        ("http://[::1", "the URL of the image"),
    ],
)
def test_place(url: str, shown: str) -> None:
    assert shown_url(url) == shown
