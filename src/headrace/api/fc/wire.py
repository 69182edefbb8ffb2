"""Every operation of FC 3.0 (API 2023-03-30), as the SDK 4.8.3 has them.

Data only. A line `Name METHOD path` (below /2023-03-30), then what it takes and gives: `?` query
parameters, `>` the model of the request body, `<` the model of the answer (see `models`).
"""

from __future__ import annotations

from typing import Final

OPERATIONS: Final = """
ListAsyncInvokeConfigs GET /async-invoke-configs
    ? functionName, limit:i, nextToken
    < ListAsyncInvokeConfigOutput
ListConcurrencyConfigs GET /concurrency-configs
    ? functionName, limit:i, nextToken
    < ListConcurrencyConfigsOutput
ListCustomDomains GET /custom-domains
    ? limit:i, nextToken, prefix
    < ListCustomDomainOutput
CreateCustomDomain POST /custom-domains
    > CreateCustomDomainInput
    < CustomDomain
DeleteCustomDomain DELETE /custom-domains/{domainName}
GetCustomDomain GET /custom-domains/{domainName}
    < CustomDomain
UpdateCustomDomain PUT /custom-domains/{domainName}
    > UpdateCustomDomainInput
    < CustomDomain
ListFunctions GET /functions
    ? description, fcVersion, functionName, gpuType, limit:i, nextToken, prefix,
      resourceGroupId, runtime, tags:[{Key, Value}]
    < ListFunctionsOutput
CreateFunction POST /functions
    > CreateFunctionInput
    < Function
DeleteFunction DELETE /functions/{functionName}
GetFunction GET /functions/{functionName}
    ? qualifier
    < Function
UpdateFunction PUT /functions/{functionName}
    > UpdateFunctionInput
    < Function
ListAliases GET /functions/{functionName}/aliases
    ? limit:i, nextToken, prefix
    < ListAliasesOutput
CreateAlias POST /functions/{functionName}/aliases
    > CreateAliasInput
    < Alias
DeleteAlias DELETE /functions/{functionName}/aliases/{aliasName}
GetAlias GET /functions/{functionName}/aliases/{aliasName}
    < Alias
UpdateAlias PUT /functions/{functionName}/aliases/{aliasName}
    > UpdateAliasInput
    < Alias
DeleteAsyncInvokeConfig DELETE /functions/{functionName}/async-invoke-config
    ? qualifier
GetAsyncInvokeConfig GET /functions/{functionName}/async-invoke-config
    ? qualifier
    < AsyncConfig
PutAsyncInvokeConfig PUT /functions/{functionName}/async-invoke-config
    ? qualifier
    > PutAsyncInvokeConfigInput
    < AsyncConfig
ListAsyncTasks GET /functions/{functionName}/async-tasks
    ? includePayload:b, limit:i, nextToken, prefix, qualifier, sortOrderByTime,
      startedTimeBegin:i, startedTimeEnd:i, status
    < ListAsyncTaskOutput
GetAsyncTask GET /functions/{functionName}/async-tasks/{taskId}
    ? qualifier
    < AsyncTask
StopAsyncTask PUT /functions/{functionName}/async-tasks/{taskId}/stop
    ? qualifier
GetFunctionCode GET /functions/{functionName}/code
    ? qualifier
    < OutputFuncCode
DeleteConcurrencyConfig DELETE /functions/{functionName}/concurrency
GetConcurrencyConfig GET /functions/{functionName}/concurrency
    < ConcurrencyConfig
PutConcurrencyConfig PUT /functions/{functionName}/concurrency
    > PutConcurrencyInput
    < ConcurrencyConfig
ListInstances GET /functions/{functionName}/instances
    ? endTimeMs:i, instanceIds:[s], instanceStatus:[s], limit, qualifier, startKey,
      startTimeMs:i, withAllActive:b
    < ListInstancesOutput
InvokeFunction POST /functions/{functionName}/invocations
    ? qualifier
DisableFunctionInvocation POST /functions/{functionName}/invoke/disable
    > DisableFunctionInvocationInput
    < DisableFunctionInvocationResponseBody
EnableFunctionInvocation POST /functions/{functionName}/invoke/enable
    < EnableFunctionInvocationResponseBody
DeleteProvisionConfig DELETE /functions/{functionName}/provision-config
    ? qualifier
GetProvisionConfig GET /functions/{functionName}/provision-config
    ? qualifier
    < ProvisionConfig
PutProvisionConfig PUT /functions/{functionName}/provision-config
    ? qualifier
    > PutProvisionConfigInput
    < ProvisionConfig
DeleteScalingConfig DELETE /functions/{functionName}/scaling-config
    ? qualifier
GetScalingConfig GET /functions/{functionName}/scaling-config
    ? qualifier
    < ScalingConfigStatus
PutScalingConfig PUT /functions/{functionName}/scaling-config
    ? qualifier
    > PutScalingConfigInput
    < ScalingConfigStatus
ListSessions GET /functions/{functionName}/sessions
    ? limit:i, nextToken, qualifier, sessionId, sessionStatus
    < ListSessionsOutput
CreateSession POST /functions/{functionName}/sessions
    ? qualifier
    > CreateSessionInput
    < Session
DeleteSession DELETE /functions/{functionName}/sessions/{sessionId}
    ? qualifier
GetSession GET /functions/{functionName}/sessions/{sessionId}
    ? qualifier
    < Session
UpdateSession PUT /functions/{functionName}/sessions/{sessionId}
    ? qualifier
    > UpdateSessionInput
    < Session
PauseSession PUT /functions/{functionName}/sessions/{sessionId}/pause
    ? fileSystemOnly, qualifier
    < Session
ResumeSession PUT /functions/{functionName}/sessions/{sessionId}/resume
    ? fileSystemOnly:b, qualifier
    < Session
CreateSnapshot POST /functions/{functionName}/snapshots
    ? qualifier
    > CreateSnapshotInput
    < Snapshot
DeleteSnapshot DELETE /functions/{functionName}/snapshots/{snapshotId}
GetSnapshot GET /functions/{functionName}/snapshots/{snapshotId}
    < Snapshot
ListTriggers GET /functions/{functionName}/triggers
    ? limit:i, nextToken, prefix
    < ListTriggersOutput
CreateTrigger POST /functions/{functionName}/triggers
    > CreateTriggerInput
    < Trigger
DeleteTrigger DELETE /functions/{functionName}/triggers/{triggerName}
GetTrigger GET /functions/{functionName}/triggers/{triggerName}
    < Trigger
UpdateTrigger PUT /functions/{functionName}/triggers/{triggerName}
    > UpdateTriggerInput
    < Trigger
ListFunctionVersions GET /functions/{functionName}/versions
    ? direction, limit:i, nextToken
    < ListVersionsOutput
PublishFunctionVersion POST /functions/{functionName}/versions
    > PublishVersionInput
    < Version
DeleteFunctionVersion DELETE /functions/{functionName}/versions/{versionId}
ListVpcBindings GET /functions/{functionName}/vpc-bindings
    < ListVpcBindingsOutput
CreateVpcBinding POST /functions/{functionName}/vpc-bindings
    > CreateVpcBindingInput
DeleteVpcBinding DELETE /functions/{functionName}/vpc-bindings/{vpcId}
GetLayerVersionByArn GET /layerarn/{arn}
    < Layer
ListLayers GET /layers
    ? limit:i, nextToken, official, prefix, public
    < ListLayersOutput
PutLayerACL PUT /layers/{layerName}/acl
    ? acl, public
ListLayerVersions GET /layers/{layerName}/versions
    ? limit:i, startVersion
    < ListLayerVersionOutput
CreateLayerVersion POST /layers/{layerName}/versions
    > CreateLayerVersionInput
    < Layer
DeleteLayerVersion DELETE /layers/{layerName}/versions/{version}
GetLayerVersion GET /layers/{layerName}/versions/{version}
    < Layer
ListProvisionConfigs GET /provision-configs
    ? functionName, limit:i, nextToken
    < ListProvisionConfigsOutput
DescribeRegions GET /regions
    ? AcceptLanguage
    < DescribeRegionsOutput
ChangeResourceGroup PUT /resource-groups
    > ChangeResourceGroupInput
    < ChangeResourceGroupOutput
ListScalingConfigs GET /scaling-configs
    ? functionName, limit:i, nextToken
    < ListScalingConfigsOutput
ListSnapshots GET /snapshots
    ? functionName, limit:i, nextToken, qualifier, sessionId
    < ListSnapshotsOutput
UntagResources DELETE /tags-v2
    ? All:b, ResourceId:[s], ResourceType, TagKey:[s]
ListTagResources GET /tags-v2
    ? Limit:i, NextToken, ResourceId:[s], ResourceType, Tag:[{Key, Value}]
    < ListTagResourcesOutput
TagResources POST /tags-v2
    > TagResourcesInput
"""
