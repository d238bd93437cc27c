"""Where the two services live: private subnets in two zones, and the shortest way to tables and bucket."""

from __future__ import annotations

import ipaddress

import pulumi
import pulumi_aws as aws

from penstock_infra.configuration import Configuration

NETWORK_CIDR = "10.62.0.0/16"
ZONES = 2
API_PORT = 8080


class Network(pulumi.ComponentResource):
    """`public` holds the NAT gateways and an internet-facing load balancer; tasks run in `private`.

    All its parts are direct children, so that who depends on the network waits for each route and rule.
    """

    vpc: aws.ec2.Vpc
    public: list[aws.ec2.Subnet]
    private: list[aws.ec2.Subnet]

    def __init__(self, configuration: Configuration, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("penstock:infra:Network", configuration.physical("network"), None, opts)
        self._configuration = configuration
        self._child = pulumi.ResourceOptions(parent=self)
        self.vpc = aws.ec2.Vpc(
            configuration.physical("vpc"),
            cidr_block=NETWORK_CIDR,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=self._tags("vpc"),
            opts=self._child,
        )
        blocks = list(ipaddress.IPv4Network(NETWORK_CIDR).subnets(new_prefix=20))
        names = aws.get_availability_zones_output(state="available").names
        self.public = [self._subnet(f"public-{zone}", blocks[zone], names[zone]) for zone in range(ZONES)]
        self.private = [self._subnet(f"private-{zone}", blocks[ZONES + zone], names[zone]) for zone in range(ZONES)]
        tables = [self._public_routes(), *self._private_routes()]
        self._gateway_endpoints(tables)
        self.load_balancer_group = self._security_group("load-balancer", "load balancer of the API")
        self.api_group = self._security_group("api", "tasks of the API")
        self.runner_group = self._security_group("runner", "runners, which nobody may call")
        self._traffic()
        self.register_outputs({"vpc": self.vpc.id})

    def _subnet(self, name: str, block: ipaddress.IPv4Network, zone: pulumi.Input[str]) -> aws.ec2.Subnet:
        return aws.ec2.Subnet(
            self._configuration.physical(name),
            vpc_id=self.vpc.id,
            cidr_block=str(block),
            availability_zone=zone,
            tags=self._tags(name),
            opts=self._child,
        )

    def _public_routes(self) -> aws.ec2.RouteTable:
        gateway = aws.ec2.InternetGateway(
            self._configuration.physical("internet"), vpc_id=self.vpc.id, tags=self._tags("internet"), opts=self._child
        )
        return self._route_table("public", self.public, aws.ec2.RouteTableRouteArgs(gateway_id=gateway.id))

    def _private_routes(self) -> list[aws.ec2.RouteTable]:
        """Images, logs, queues and models are reached through NAT: one gateway, or one a zone in production."""
        gateways = [self._nat(zone) for zone in range(ZONES if self._configuration.production else 1)]
        return [
            self._route_table(
                f"private-{zone}",
                [subnet],
                aws.ec2.RouteTableRouteArgs(nat_gateway_id=gateways[min(zone, len(gateways) - 1)].id),
            )
            for zone, subnet in enumerate(self.private)
        ]

    def _nat(self, zone: int) -> aws.ec2.NatGateway:
        name = f"nat-{zone}"
        address = aws.ec2.Eip(self._configuration.physical(name), domain="vpc", tags=self._tags(name), opts=self._child)
        return aws.ec2.NatGateway(
            self._configuration.physical(name),
            allocation_id=address.id,
            subnet_id=self.public[zone].id,
            tags=self._tags(name),
            opts=self._child,
        )

    def _route_table(
        self, name: str, subnets: list[aws.ec2.Subnet], outwards: aws.ec2.RouteTableRouteArgs
    ) -> aws.ec2.RouteTable:
        outwards.cidr_block = "0.0.0.0/0"
        table = aws.ec2.RouteTable(
            self._configuration.physical(name),
            vpc_id=self.vpc.id,
            routes=[outwards],
            tags=self._tags(name),
            opts=self._child,
        )
        for number, subnet in enumerate(subnets):
            aws.ec2.RouteTableAssociation(
                self._configuration.physical(f"{name}-subnet-{number}"),
                route_table_id=table.id,
                subnet_id=subnet.id,
                opts=self._child,
            )
        return table

    def _gateway_endpoints(self, tables: list[aws.ec2.RouteTable]) -> None:
        """Free of charge, and they keep the bulk of the traffic off the NAT gateways."""
        for service in ("dynamodb", "s3"):
            aws.ec2.VpcEndpoint(
                self._configuration.physical(service),
                vpc_id=self.vpc.id,
                service_name=f"com.amazonaws.{self._configuration.region}.{service}",
                vpc_endpoint_type="Gateway",
                route_table_ids=[table.id for table in tables],
                tags=self._tags(service),
                opts=self._child,
            )

    def _security_group(self, name: str, purpose: str) -> aws.ec2.SecurityGroup:
        """Traffic is allowed by rules of their own (below): two groups that name each other need that."""
        return aws.ec2.SecurityGroup(
            self._configuration.physical(name),
            vpc_id=self.vpc.id,
            description=purpose,
            tags=self._tags(name),
            opts=self._child,
        )

    def _traffic(self) -> None:
        front_port = 443 if self._configuration.certificate_arn else 80
        for block in sorted(set(self._configuration.api_client_cidrs or (NETWORK_CIDR,))):
            # Named by its network: AWS refuses to turn one rule into another that still stands.
            self._ingress(f"client-{block.replace('/', '-')}", self.load_balancer_group, front_port, cidr=block)
        self._egress("load-balancer-to-api", self.load_balancer_group, API_PORT, to=self.api_group)
        self._ingress("api-from-load-balancer", self.api_group, API_PORT, source=self.load_balancer_group)
        for port in self._configuration.outward_ports:
            self._egress(f"api-out-{port}", self.api_group, port, cidr="0.0.0.0/0")
            self._egress(f"runner-out-{port}", self.runner_group, port, cidr="0.0.0.0/0")

    def _ingress(
        self,
        name: str,
        group: aws.ec2.SecurityGroup,
        port: int,
        *,
        cidr: str | None = None,
        source: aws.ec2.SecurityGroup | None = None,
    ) -> None:
        aws.vpc.SecurityGroupIngressRule(
            self._configuration.physical(name),
            security_group_id=group.id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            cidr_ipv4=cidr,
            referenced_security_group_id=source.id if source else None,
            opts=self._child,
        )

    def _egress(
        self,
        name: str,
        group: aws.ec2.SecurityGroup,
        port: int,
        *,
        cidr: str | None = None,
        to: aws.ec2.SecurityGroup | None = None,
    ) -> None:
        aws.vpc.SecurityGroupEgressRule(
            self._configuration.physical(name),
            security_group_id=group.id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            cidr_ipv4=cidr,
            referenced_security_group_id=to.id if to else None,
            opts=self._child,
        )

    def _tags(self, name: str) -> dict[str, str]:
        """VPC resources have no name but this tag."""
        return {"Name": self._configuration.physical(name)}
