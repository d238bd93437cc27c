"""One image repository a service; tags cannot be moved, so a tag is a build for ever."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from penstock_infra.configuration import Configuration
from penstock_infra.permissions import policy

FUNCTIONS = "orchestrator-svc"
SERVICES = ("api-gateway-svc", FUNCTIONS, "workflow-runner-svc")
IMAGES_MAX = 50
"""Kept for going back; older ones are deleted."""


class Images(pulumi.ComponentResource):
    repositories: dict[str, aws.ecr.Repository]

    def __init__(
        self, configuration: Configuration, account: pulumi.Output[str], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("penstock:infra:Images", configuration.physical("images"), None, opts)
        self._configuration = configuration
        self.repositories = {service: self._repository(configuration.physical(service)) for service in SERVICES}
        self._let_lambda_pull(account)
        self.register_outputs({})

    def uri(self, service: str) -> pulumi.Output[str]:
        return pulumi.Output.concat(self.repositories[service].repository_url, ":", self._configuration.image_tag)

    def _let_lambda_pull(self, account: pulumi.Output[str]) -> None:
        """Also long after the deployment: a function that was idle for weeks is made anew from its image."""
        name = self._configuration.physical(FUNCTIONS)
        functions = pulumi.Output.concat(
            "arn:aws:lambda:", self._configuration.region, ":", account, ":function:", self._configuration.stack, "-*"
        )
        pull = {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Condition": {"ArnLike": {"aws:SourceArn": functions}},
        }
        repository = self.repositories[FUNCTIONS]
        aws.ecr.RepositoryPolicy(
            name, repository=repository.name, policy=policy([pull]), opts=pulumi.ResourceOptions(parent=repository)
        )

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
