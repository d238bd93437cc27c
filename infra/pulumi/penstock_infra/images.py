"""One image repository a service; tags cannot be moved, so a tag is a build for ever."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from penstock_infra.configuration import Configuration

SERVICES = ("api-gateway-svc", "orchestrator-svc", "workflow-runner-svc")
IMAGES_MAX = 50
"""Kept for going back; older ones are deleted."""


class Images(pulumi.ComponentResource):
    repositories: dict[str, aws.ecr.Repository]

    def __init__(self, configuration: Configuration, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("penstock:infra:Images", configuration.physical("images"), None, opts)
        self._configuration = configuration
        self.repositories = {service: self._repository(configuration.physical(service)) for service in SERVICES}
        self.register_outputs({})

    def uri(self, service: str) -> pulumi.Output[str]:
        return pulumi.Output.concat(self.repositories[service].repository_url, ":", self._configuration.image_tag)

    def _repository(self, name: str) -> aws.ecr.Repository:
        repository = aws.ecr.Repository(
            name,
            name=name,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            opts=pulumi.ResourceOptions(parent=self),
        )
        newest = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": IMAGES_MAX}
        rule = {"rulePriority": 1, "selection": newest, "action": {"type": "expire"}}
        aws.ecr.LifecyclePolicy(
            name,
            repository=repository.name,
            policy=json.dumps({"rules": [rule]}),
            opts=pulumi.ResourceOptions(parent=repository),
        )
        return repository
