"""Tables and bucket, exactly as the inventory lists them."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from penstock_backbone.inventory import INVENTORY, Index, Table
from penstock_infra.configuration import Configuration
from penstock_infra.permissions import policy

NONCURRENT_DAYS = 30
UPLOAD_DAYS = 7


class Data(pulumi.ComponentResource):
    """In production nothing here can be deleted: not by Pulumi (protect), and the tables not by the API either."""

    tables: dict[str, aws.dynamodb.Table]
    bucket: aws.s3.Bucket

    def __init__(self, configuration: Configuration, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("penstock:infra:Data", configuration.physical("data"), None, opts)
        self._configuration = configuration
        self._kept = pulumi.ResourceOptions(parent=self, protect=configuration.production)
        self.tables = {table.name: self._table(table) for table in INVENTORY.tables}
        self.bucket = self._bucket(configuration.physical(INVENTORY.bucket))
        self.register_outputs({"bucket": self.bucket.bucket})

    def stream_arn(self, table: str) -> pulumi.Output[str]:
        return self.tables[table].stream_arn

    def _table(self, table: Table) -> aws.dynamodb.Table:
        attributes = sorted({"pk", "sk"} | {name for index in table.indexes for name in _attributes(index)})
        name = self._configuration.physical(table.name)
        return aws.dynamodb.Table(
            name,
            name=name,
            billing_mode="PAY_PER_REQUEST",
            hash_key="pk",
            range_key="sk",
            attributes=[aws.dynamodb.TableAttributeArgs(name=attribute, type="S") for attribute in attributes],
            global_secondary_indexes=[_index(index) for index in table.indexes],
            stream_enabled=table.streamed,
            stream_view_type="NEW_IMAGE" if table.streamed else None,
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
            server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(enabled=True),
            deletion_protection_enabled=self._configuration.production,
            opts=self._kept,
        )

    def _bucket(self, name: str) -> aws.s3.Bucket:
        bucket = aws.s3.Bucket(name, bucket=name, opts=self._kept)
        child = pulumi.ResourceOptions(parent=bucket)
        aws.s3.BucketVersioning(
            name,
            bucket=bucket.id,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=child,
        )
        shut = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        self._lifecycle(name, bucket)
        refuse_plain_http = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        aws.s3.BucketPolicy(
            name,
            bucket=bucket.id,
            policy=policy([refuse_plain_http]),
            opts=pulumi.ResourceOptions(parent=bucket, depends_on=[shut]),
        )
        return bucket

    def _lifecycle(self, name: str, bucket: aws.s3.Bucket) -> None:
        """Blobs are written once, so an old version is only a deleted one: kept for a while, then gone."""
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.id,
            rules=[
                aws.s3.BucketLifecycleConfigurationRuleArgs(
                    id="forget-deleted",
                    status="Enabled",
                    filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                    noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                        noncurrent_days=NONCURRENT_DAYS
                    ),
                    abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                        days_after_initiation=UPLOAD_DAYS
                    ),
                )
            ],
            opts=pulumi.ResourceOptions(parent=bucket),
        )


def _attributes(index: Index) -> tuple[str, str]:
    return index.hash_attribute, index.range_attribute


def _index(index: Index) -> aws.dynamodb.TableGlobalSecondaryIndexArgs:
    return aws.dynamodb.TableGlobalSecondaryIndexArgs(
        name=index.name,
        key_schemas=[
            aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(attribute_name=index.hash_attribute, key_type="HASH"),
            aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(attribute_name=index.range_attribute, key_type="RANGE"),
        ],
        projection_type="ALL",
    )
