"""A store of files that speaks S3: moto's server, over HTTP, with a bucket of its own."""

from __future__ import annotations

import boto3
from moto.server import ThreadedMotoServer

KEY, SECRET, NAME = "offhook", "offhook-secret", "media"


class Bucket:
    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self._s3 = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )
        self._s3.create_bucket(Bucket=NAME)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "OFFHOOK__MEDIA__STORE": f"s3://{NAME}/kept/here",
            "OFFHOOK__MEDIA__S3_ENDPOINT": self.url,
            "OFFHOOK__MEDIA__S3_ACCESS_KEY_ID": KEY,
            "OFFHOOK__MEDIA__S3_SECRET_ACCESS_KEY": "env:BUCKET_SECRET",
            "BUCKET_SECRET": SECRET,
        }

    def objects(self) -> set[str]:
        listed = self._s3.list_objects_v2(Bucket=NAME)
        return {found["Key"] for found in listed.get("Contents", [])}

    def read(self, key: str) -> bytes:
        return self._s3.get_object(Bucket=NAME, Key=key)["Body"].read()

    def close(self) -> None:
        self._server.stop()
