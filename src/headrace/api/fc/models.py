"""The wire models of FC 3.0 that an operation reaches, in the notation of `shapes`.

Data only, exact JSON keys; a capital word after ":" names another model. Source: the official SDK
4.8.3.
"""

from __future__ import annotations

from typing import Final

MODELS: Final[dict[str, str]] = {
    "AccelerationInfo": "status",
    "Alias": (
        "additionalVersionWeight:any, aliasName, createdTime, description, lastModifiedTime,"
        " versionId"
    ),
    "AsyncConfig": (
        "asyncTask:b, createdTime, destinationConfig:DestinationConfig, functionArn,"
        " lastModifiedTime, maxAsyncEventAgeInSeconds:i, maxAsyncRetryAttempts:i"
    ),
    "AsyncTask": (
        "alreadyRetriedTimes:i, destinationStatus, durationMs:i, endTime:i,"
        " events:[AsyncTaskEvent], functionArn, instanceId, qualifier, requestId, returnPayload,"
        " startedTime:i, status, taskErrorMessage, taskId, taskPayload"
    ),
    "AsyncTaskEvent": "eventDetail, eventId:i, status, timestamp:i",
    "AuthConfig": "authInfo, authType",
    "CertConfig": "certName, certificate, privateKey",
    "ChangeResourceGroupInput": "NewResourceGroupId, ResourceId, ResourceType",
    "ChangeResourceGroupOutput": "NewResourceGroupId, OldResourceGroupId, ResourceId",
    "ConcurrencyConfig": "functionArn, reservedConcurrency:i",
    "CORSConfig": (
        "allowCredentials:b, allowHeaders:[s], allowMethods:[s], allowOrigins:[s],"
        " exposeHeaders:[s], maxAge:i"
    ),
    "CreateAliasInput": "additionalVersionWeight:any, aliasName, description, versionId",
    "CreateCustomDomainInput": (
        "authConfig:AuthConfig, certConfig:CertConfig, corsConfig:CORSConfig, domainName,"
        " isE2B:b, protocol, routeConfig:RouteConfig, tlsConfig:TLSConfig, wafConfig:WAFConfig"
    ),
    "CreateFunctionInput": (
        "code:InputCodeLocation, cpu:f, customContainerConfig:CustomContainerConfig,"
        " customDNS:CustomDNS, customRuntimeConfig:CustomRuntimeConfig, description,"
        " disableInjectCredentials, disableOndemand:b, diskSize:i, enableLongLiving:b,"
        " environmentVariables:map, functionName, gpuConfig:GPUConfig, handler, idleTimeout:i,"
        " instanceConcurrency:i, instanceIsolationMode,"
        " instanceLifecycleConfig:InstanceLifecycleConfig, internetAccess:b,"
        " juiceFsConfig:JuiceFsConfig, layers:[s], logConfig:LogConfig, memorySize:i,"
        " microSandboxConfig:MicroSandboxConfig, nasConfig:NASConfig,"
        " ossMountConfig:OSSMountConfig, polarFsConfig:PolarFsConfig, resourceGroupId, role,"
        " runtime, sessionAffinity, sessionAffinityConfig, tags:[Tag], timeout:i,"
        " tracingConfig:TracingConfig, vpcConfig:VPCConfig"
    ),
    "CreateLayerVersionInput": (
        "code:InputCodeLocation, compatibleRuntime:[s], description, license"
    ),
    "CreateSessionInput": (
        "allowInternetAccess:b, disableSessionIdReuse:b, enableAutoPause:b, enableAutoResume:b,"
        " juiceFsConfig:JuiceFsConfig, nasConfig:NASConfig, network:CreateSessionNetworkConfig,"
        " ossMountConfig:OSSMountConfig, polarFsConfig:PolarFsConfig, sessionId,"
        " sessionIdleTimeoutInSeconds:i, sessionTTLInSeconds:i, snapshotId"
    ),
    "CreateSessionNetworkConfig": (
        "allowOut:[s], allowPublicTraffic:b, denyOut:[s], maskRequestHost, rules:any"
    ),
    "CreateSnapshotInput": "description, sessionId",
    "CreateTriggerInput": (
        "description, invocationRole, qualifier, sourceArn, triggerConfig, triggerName, triggerType"
    ),
    "CreateVpcBindingInput": "vpcId",
    "CustomContainerConfig": (
        "accelerationInfo:AccelerationInfo, accelerationType, acrInstanceId, command:[s],"
        " entrypoint:[s], healthCheckConfig:CustomHealthCheckConfig, image, port:i,"
        " registryConfig:RegistryConfig, resolvedImageUri"
    ),
    "CustomDNS": "dnsOptions:[DNSOption], nameServers:[s], searches:[s]",
    "CustomDomain": (
        "accountId, apiVersion, authConfig:AuthConfig, certConfig:CertConfig,"
        " corsConfig:CORSConfig, createdTime, domainName, isE2B:b, lastModifiedTime, protocol,"
        " routeConfig:RouteConfig, subdomainCount, tlsConfig:TLSConfig, wafConfig:WAFConfig"
    ),
    "CustomHealthCheckConfig": (
        "failureThreshold:i, httpGetUrl, initialDelaySeconds:i, periodSeconds:i,"
        " successThreshold:i, timeoutSeconds:i"
    ),
    "CustomRuntimeConfig": (
        "args:[s], command:[s], healthCheckConfig:CustomHealthCheckConfig, port:i"
    ),
    "DescribeRegionsOutput": "Regions:DescribeRegionsOutputRegions",
    "DescribeRegionsOutputRegions": "Region:[DescribeRegionsOutputRegionsRegion]",
    "DescribeRegionsOutputRegionsRegion": "LocalName, RegionId",
    "Destination": "destination",
    "DestinationConfig": "onFailure:Destination, onSuccess:Destination",
    "DisableFunctionInvocationInput": "abortOngoingRequest:b, reason",
    "DisableFunctionInvocationResponseBody": "success:b",
    "DNSOption": "name, value",
    "EnableFunctionInvocationResponseBody": "success:b",
    "EqualRule": "match, replacement",
    "Function": (
        "codeChecksum, codeSize:i, cpu:f, createdTime,"
        " customContainerConfig:CustomContainerConfig, customDNS:CustomDNS,"
        " customRuntimeConfig:CustomRuntimeConfig, description, disableInjectCredentials,"
        " disableOndemand:b, diskSize:i, enableLongLiving:b, environmentVariables:map,"
        " functionArn, functionId, functionName, gpuConfig:GPUConfig, handler, idleTimeout:i,"
        " instanceConcurrency:i, instanceIsolationMode,"
        " instanceLifecycleConfig:InstanceLifecycleConfig, internetAccess:b,"
        " invocationRestriction:FunctionRestriction, juiceFsConfig:JuiceFsConfig,"
        " lastModifiedTime, lastUpdateStatus, lastUpdateStatusReason,"
        " lastUpdateStatusReasonCode, layers:[FunctionLayer], lockInfo:FunctionLockInfo,"
        " logConfig:LogConfig, memorySize:i, microSandboxConfig:MicroSandboxConfig,"
        " nasConfig:NASConfig, ossMountConfig:OSSMountConfig, polarFsConfig:PolarFsConfig,"
        " resourceGroupId, role, runtime, sessionAffinity, sessionAffinityConfig, state,"
        " stateReason, stateReasonCode, tags:[Tag], timeout:i, tracingConfig:TracingConfig,"
        " vpcConfig:VPCConfig"
    ),
    "FunctionLayer": "arn, size:i",
    "FunctionLockInfo": "lockedAt, lockedBy, lockedResources:[s]",
    "FunctionRestriction": "disable:b, lastModifiedTime, reason",
    "GPUConfig": "gpuMemorySize:i, gpuType",
    "HTTPTrigger": "urlInternet, urlIntranet",
    "InputCodeLocation": "checksum, ossBucketName, ossObjectName, zipFile",
    "InstanceInfo": (
        "createdTimeMs:i, destroyedTimeMs:i, instanceId, qualifier, resourceType, status, versionId"
    ),
    "InstanceLifecycleConfig": "initializer:LifecycleHook, preStop:LifecycleHook",
    "JuiceFsConfig": "envs:map, mountPoints:[JuiceFsMountConfig]",
    "JuiceFsMountConfig": "args:[s], mountDir, remoteDir, token, volumeName",
    "Layer": (
        "acl, code:OutputCodeLocation, codeChecksum, codeSize:i, compatibleRuntime:[s],"
        " createTime, description, layerName, layerVersionArn, license, version:i"
    ),
    "LifecycleHook": "command:[s], handler, timeout:i",
    "ListAliasesOutput": "aliases:[Alias], nextToken",
    "ListAsyncInvokeConfigOutput": "configs:[AsyncConfig], nextToken",
    "ListAsyncTaskOutput": "nextToken, tasks:[AsyncTask]",
    "ListConcurrencyConfigsOutput": "configs:[ConcurrencyConfig], nextToken",
    "ListCustomDomainOutput": "customDomains:[CustomDomain], nextToken",
    "ListFunctionsOutput": "functions:[Function], nextToken",
    "ListInstancesOutput": "instances:[InstanceInfo], requestId",
    "ListLayersOutput": "layers:[Layer], nextToken",
    "ListLayerVersionOutput": "layers:[Layer], nextVersion:i",
    "ListProvisionConfigsOutput": "nextToken, provisionConfigs:[ProvisionConfig]",
    "ListScalingConfigsOutput": "nextToken, scalingConfigs:[ScalingConfigStatus]",
    "ListSessionsOutput": "nextToken, sessions:[Session]",
    "ListSnapshotsOutput": "nextToken, snapshots:[Snapshot]",
    "ListTagResourcesOutput": "NextToken, RequestId, TagResources:[TagResource]",
    "ListTriggersOutput": "nextToken, triggers:[Trigger]",
    "ListVersionsOutput": "direction, nextToken, versions:[Version]",
    "ListVpcBindingsOutput": "vpcIds:[s]",
    "LogConfig": (
        "enableInstanceMetrics:b, enableLlmMetrics:b, enableRequestMetrics:b, logBeginRule,"
        " logstore, project"
    ),
    "MicroSandboxConfig": (
        "acrInstanceId, image, osType, readyCommand, registryConfig:RegistryConfig, startCommand"
    ),
    "NASConfig": "groupId:i, mountPoints:[NASMountConfig], userId:i",
    "NASMountConfig": "enableTLS:b, mountDir, serverAddr",
    "OSSMountConfig": "mountPoints:[OSSMountPoint]",
    "OSSMountPoint": "bucketName, bucketPath, endpoint, mountDir, readOnly:b",
    "OutputCodeLocation": "location, repositoryType",
    "OutputFuncCode": "checksum, url",
    "PathConfig": "functionName, methods:[s], path, qualifier, rewriteConfig:RewriteConfig",
    "PolarFsConfig": "groupId:i, mountPoints:[PolarFsMountConfig], userId:i",
    "PolarFsMountConfig": "extraOptions, instanceId, mountDir, readOnly:b, remoteDir",
    "ProvisionConfig": (
        "alwaysAllocateCPU:b, alwaysAllocateGPU:b, current:i, currentError, defaultTarget:i,"
        " functionArn, scheduledActions:[ScheduledAction], target:i,"
        " targetTrackingPolicies:[TargetTrackingPolicy]"
    ),
    "PublishVersionInput": "description",
    "PutAsyncInvokeConfigInput": (
        "asyncTask:b, destinationConfig:DestinationConfig, maxAsyncEventAgeInSeconds:i,"
        " maxAsyncRetryAttempts:i"
    ),
    "PutConcurrencyInput": "reservedConcurrency:i",
    "PutProvisionConfigInput": (
        "alwaysAllocateCPU:b, alwaysAllocateGPU:b, defaultTarget:i,"
        " scheduledActions:[ScheduledAction], target:i,"
        " targetTrackingPolicies:[TargetTrackingPolicy]"
    ),
    "PutScalingConfigInput": (
        "enableMixMode:b, enableOnDemandScaling:b, horizontalScalingPolicies:[ScalingPolicy],"
        " minInstances:i, requestDispatchPolicy, residentPoolId,"
        " scheduledPolicies:[ScheduledPolicy]"
    ),
    "RegexRule": "match, replacement",
    "RegistryAuthConfig": "password, userName",
    "RegistryCertConfig": "insecure:b, rootCaCertBase64",
    "RegistryConfig": (
        "authConfig:RegistryAuthConfig, certConfig:RegistryCertConfig,"
        " networkConfig:RegistryNetworkConfig"
    ),
    "RegistryNetworkConfig": "securityGroupId, vSwitchId, vpcId",
    "RewriteConfig": "equalRules:[EqualRule], regexRules:[RegexRule], wildcardRules:[WildcardRule]",
    "RouteConfig": "routes:[PathConfig]",
    "ScalingConfigStatus": (
        "currentError, currentInstances:i, enableMixMode:b, enableOnDemandScaling:b,"
        " functionArn, horizontalScalingPolicies:[ScalingPolicy], minInstances:i,"
        " requestDispatchPolicy, residentPoolId, scheduledPolicies:[ScheduledPolicy],"
        " targetInstances:i"
    ),
    "ScalingPolicy": (
        "endTime, maxInstances:i, metricTarget:f, metricType, minInstances:i, name, startTime,"
        " timeZone"
    ),
    "ScheduledAction": "endTime, name, scheduleExpression, startTime, target:i, timeZone",
    "ScheduledPolicy": "endTime, name, scheduleExpression, startTime, target:i, timeZone",
    "Session": (
        "allowInternetAccess:b, containerId, createdTime, disableSessionIdReuse:b,"
        " enableAutoPause:b, enableAutoResume:b, functionName, juiceFsConfig:JuiceFsConfig,"
        " lastModifiedTime, nasConfig:NASConfig, network:CreateSessionNetworkConfig,"
        " ossMountConfig:OSSMountConfig, polarFsConfig:PolarFsConfig, qualifier,"
        " sessionAffinityType, sessionId, sessionIdleTimeoutInSeconds:i, sessionStatus,"
        " sessionTTLInSeconds:i, trafficAccessToken"
    ),
    "Snapshot": (
        "artifactDiskUsedSizeInB:i, artifactMemUsedSizeInB:i, cpu:i, createdTime, description,"
        " diskSizeMB:i, envs:map, expiredTime, functionName, imageDigest, imageRepository,"
        " memoryMB:i, osType, qualifier, readyCommand, resolvedVersion, snapshotId,"
        " sourceSessionId, startCommand, status"
    ),
    "Tag": "Key, Value",
    "TagResource": "ResourceId, ResourceType, TagKey, TagValue",
    "TagResourcesInput": "ResourceId:[s], ResourceType, Tag:[Tag]",
    "TargetTrackingPolicy": (
        "endTime, maxCapacity:i, metricTarget:f, metricType, minCapacity:i, name, startTime,"
        " timeZone"
    ),
    "TLSConfig": "cipherSuites:[s], maxVersion, minVersion",
    "TracingConfig": "params:map, type",
    "Trigger": (
        "createdTime, description, httpTrigger:HTTPTrigger, invocationRole, lastModifiedTime,"
        " qualifier, sourceArn, status, targetArn, triggerConfig, triggerId, triggerName,"
        " triggerType"
    ),
    "UpdateAliasInput": "additionalVersionWeight:any, description, versionId",
    "UpdateCustomDomainInput": (
        "authConfig:AuthConfig, certConfig:CertConfig, corsConfig:CORSConfig, protocol,"
        " routeConfig:RouteConfig, tlsConfig:TLSConfig, wafConfig:WAFConfig"
    ),
    "UpdateFunctionInput": (
        "code:InputCodeLocation, cpu:f, customContainerConfig:CustomContainerConfig,"
        " customDNS:CustomDNS, customRuntimeConfig:CustomRuntimeConfig, description,"
        " disableInjectCredentials, disableOndemand:b, diskSize:i, enableLongLiving:b,"
        " environmentVariables:map, gpuConfig:GPUConfig, handler, idleTimeout:i,"
        " instanceConcurrency:i, instanceIsolationMode,"
        " instanceLifecycleConfig:InstanceLifecycleConfig, internetAccess:b,"
        " juiceFsConfig:JuiceFsConfig, layers:[s], logConfig:LogConfig, memorySize:i,"
        " microSandboxConfig:MicroSandboxConfig, nasConfig:NASConfig,"
        " ossMountConfig:OSSMountConfig, polarFsConfig:PolarFsConfig, role, runtime,"
        " sessionAffinity, sessionAffinityConfig, timeout:i, tracingConfig:TracingConfig,"
        " vpcConfig:VPCConfig"
    ),
    "UpdateSessionInput": (
        "allowInternetAccess:b, disableSessionIdReuse:b, enableAutoPause:b, enableAutoResume:b,"
        " juiceFsConfig:JuiceFsConfig, nasConfig:NASConfig, network:UpdateSessionNetworkConfig,"
        " ossMountConfig:OSSMountConfig, polarFsConfig:PolarFsConfig,"
        " sessionIdleTimeoutInSeconds:i, sessionTTLInSeconds:i"
    ),
    "UpdateSessionNetworkConfig": "allowOut:[s], denyOut:[s], rules:any",
    "UpdateTriggerInput": "description, invocationRole, qualifier, triggerConfig",
    "Version": "createdTime, description, lastModifiedTime, versionId",
    "VPCConfig": "role, securityGroupId, vSwitchIds:[s], vpcId",
    "WAFConfig": "enableWAF:b",
    "WildcardRule": "match, replacement",
}
