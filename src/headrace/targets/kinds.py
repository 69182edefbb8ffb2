"""Every target type of the cloud and its ResourceKeys, as data ("event target parameters").

For the console's forms and the compatibility table. What a target may say here is checked in
`resources.targets`, which is narrower. Must never hold code.
"""

from __future__ import annotations

from typing import Literal

import msgspec

#: honoured: changes what happens. echoed: kept and returned, changes nothing here (networks of the
#: cloud).
Effect = Literal["honoured", "echoed"]


class Key(msgspec.Struct, frozen=True):
    """One ResourceKey of a target type; compared without regard to case."""

    name: str
    #: As the cloud's page says. Only the address and the body are insisted on: public Terraform
    #: code leaves the rest out.
    required: bool = False
    #: Letters of the transform forms the cloud's page allows: O(riginal) C(onstant) J(sonpath)
    #: T(emplate).
    forms: str = "C"
    effect: Effect = "honoured"


class Kind(msgspec.Struct, frozen=True):
    """One target type."""

    type: str
    keys: tuple[Key, ...] = ()
    #: False: known in the cloud, refused here with the reason.
    built: bool = False

    def key(self, name: str) -> Key | None:
        lowered = name.lower()
        return next((key for key in self.keys if key.name.lower() == lowered), None)


def _echoed(*names: str) -> tuple[Key, ...]:
    return tuple(Key(name, effect="echoed") for name in names)


def _keys(text: str) -> tuple[Key, ...]:
    """Read the short form `Name*:CJT Name:C`; `*` = required, no letters = C."""
    keys: list[Key] = []
    for word in text.split():
        name, _, forms = word.partition(":")
        keys.append(Key(name.rstrip("*"), name.endswith("*"), forms or "C"))
    return tuple(keys)


_HTTP = _keys("url* Body*:OCJT Token") + _echoed(
    "Network", "VPCNameAndId", "VSwitchesNameAndId", "SecurityGroupNameAndId"
)
_FUNCTION = _keys("functionName* Qualifier* Body*:OCJT InvocationType* DataFormat*") + _echoed(
    "serviceName", "Concurrency"
)

KINDS: dict[str, Kind] = {
    kind.type: kind
    for kind in (
        Kind("acs.fc.function", _FUNCTION, built=True),
        Kind("http", _HTTP, built=True),
        Kind("https", _HTTP, built=True),
        Kind("acs.mns.queue", _keys("queue* Body*:OCJT IsBase64Encode"), built=True),
        Kind("acs.mns.topic", _keys("topic* Body*:OCJT IsBase64Encode")),
        Kind(
            "acs.rocketmq",
            _keys("InstanceId* Topic* Body*:OCJT Properties:JT Keys:CJT Tags:CJT"),
        ),
        Kind(
            "acs.rabbitmq",
            _keys(
                "InstanceId* Vhost* TargetType* Exchange Queue RoutingKey:CJT Body*:OCJT"
                " MessageId:CJT Properties:JT"
            ),
        ),
        Kind("acs.alikafka", _keys("InstanceId* Topic* Value*:OCJT Key*:J Acks*")),
        Kind(
            "ApacheKafkaSelf",
            _keys(
                "Bootstraps Topic NetworkType SecurityProtocol SaslMechanism SaslUser SaslPassword"
                " Key:CJT Value:OCJT Acks"
            ),
        ),
        Kind(
            "acs.sls",
            _keys("Project* LogStore* Topic:CJT Body:OCJT ContentType* RoleName* ContentSchema"),
        ),
        Kind("acs.dingtalk", _keys("URL* SecretKey* Body*:T")),
        Kind(
            "acs.mail",
            _keys(
                "Subject* AccountName* AddressType* ReplyToAddress* ToAddress*:CJ IsHtmlBody*"
                " Body*:T"
            ),
        ),
        Kind("acs.sms", _keys("PhoneNumbers*:CJ SignName* TemplateCode* TemplateParam*:T")),
        Kind(
            "acs.rds.mysql",
            _keys(
                "InstanceId* DBName* AccountName* AccountPassword* ExecuteSQL*:OCJT VpcId*"
                " VSwitchIds* SecurityGroupId*"
            ),
        ),
        Kind(
            "mysql",
            _keys(
                "ConnectionStringAndPort* DBName* AccountName* AccountPassword* ExecuteSQL*:OCJT"
                " Network* VpcId VSwitchIds SecurityGroupId"
            ),
        ),
        Kind(
            "acs.eventbridge",
            _keys("RegionId* AccountType* AccountId EventBusName* RAMRoleName Body*:O"),
        ),
        Kind(
            "acs.api.destination",
            _keys("Name* HeaderParameters:T BodyParameters:T QueryStringParameters:T"),
        ),
        Kind("acs.fnf", _keys("FlowName* ExecutionName:CJT Input:J RoleName*")),
        Kind("acs.k8s", _keys("KubeConfig* YamlContent* Network* QPSLimit*")),
        Kind("acs.sae", _keys("RegionId* AppId* EventId*:J Parameters*")),
        Kind("acs.eventbridge.olap", _keys("UseSchema* SchemaGroup* SchemaID* SchemaVersion*")),
        Kind("acs.datahub", _keys("Project* Topic* TopicType* TopicSchema:T RoleName*")),
        # Named in Terraform's list only; their keys are not published.
        Kind("acs.arms.loki"),
        Kind("acs.openapi"),
        Kind("acs.eventbus.SLSCloudLens"),
    )
}

BUILT = tuple(sorted(kind.type for kind in KINDS.values() if kind.built))
