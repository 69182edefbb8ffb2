"""The actions of API version 2020-04-01 that this server does not answer, by name.

Data only: each is refused with the API's own error, so that a client learns the difference between
a
misspelt action and one that is not built.
"""

from __future__ import annotations

ACTIONS = (
    # Event sources
    "CreateEventSource", "UpdateEventSource", "DeleteEventSource", "ListUserDefinedEventSources",
    "ListAliyunOfficialEventSources", "DiscoverEventSource", "TestEventSourceConfig",
    # Event streams
    "CreateEventStreaming", "UpdateEventStreaming", "GetEventStreaming", "ListEventStreamings",
    "DeleteEventStreaming", "StartEventStreaming", "PauseEventStreaming",
    "UpdateEventStreamingBusinessOption",
    # API destinations and connections
    "CreateApiDestination", "UpdateApiDestination", "GetApiDestination", "ListApiDestinations",
    "DeleteApiDestination", "CreateConnection", "UpdateConnection", "GetConnection",
    "ListConnections", "DeleteConnection",
    # Analytics
    "EventCenterQueryEvents", "DeleteEventAnalysisJob",
    # EventHouse, knowledge bases, agents
    "AskLuma", "CreateAgent", "CreateKnowledgeBase", "CreateNamespace", "CreateTable",
    "DeleteAgent", "DeleteEventHouseRuntime", "DeleteKnowledgeBase", "DeleteNamespace",
    "DeleteTable", "GenerateAgentDataSemantics", "GetAgent", "GetAgentDataSemantics", "GetCatalog",
    "GetChunk", "GetDocument", "GetDocumentDownloadUrl", "GetEventHouseRuntime",
    "GetGenerateAgentDataSemanticsProgress", "GetKnowledgeBase", "GetLumaCatalog", "GetLumaChunk",
    "GetLumaDocument", "GetLumaDocumentDownloadUrl", "GetLumaKnowledgeBase", "GetLumaNamespace",
    "GetLumaTable", "GetNamespace", "GetTable", "ListAgents", "ListCatalogs", "ListChunks",
    "ListDocuments", "ListEventHouseRuntimes", "ListKnowledgeBases", "ListLumaCatalogs",
    "ListLumaChunks", "ListLumaDocuments", "ListLumaKnowledgeBases", "ListLumaNamespaces",
    "ListLumaTables", "ListNamespaces", "ListTables", "PollAskResult", "QueryAskLumaLog",
    "QueryEventHouse", "QueryEventHouseWithTimeRange", "SaveAgentDataSemantics",
    "SearchKnowledgeBase", "SearchLumaKnowledgeBase", "UpdateAgent", "UpdateEventHouseRuntime",
    "UpdateKnowledgeBase", "UpdateNamespace", "UpdateTable",
)  # fmt: skip

#: Paths of the data plane below /openapi/ that are not answered.
PATHS = (
    "v2/createEventSource", "v2/deleteEventSource", "v2/updateEventSource",
    "v2/listUserDefinedEventSources", "v2/listAliyunOfficialEventSources",
    "v2/createEventStreaming", "v2/deleteEventStreaming", "v2/getEventStreaming",
    "v2/listEventStreamingMetrics", "v2/listEventStreamings", "v2/pauseEventStreaming",
    "v2/startEventStreaming", "v2/updateEventStreaming", "listPartnerEventSources",
)  # fmt: skip
