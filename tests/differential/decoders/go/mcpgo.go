package main

import (
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
)

// readMcpGo decodes a message as mcp-go does: the envelope as in MCPServer.HandleMessage
// (server/request_handler.go), then the whole message into the type of the method's request.
func readMcpGo(body []byte) *Reading {
	var envelope struct {
		JSONRPC string        `json:"jsonrpc"`
		Method  mcp.MCPMethod `json:"method"`
		ID      any           `json:"id,omitempty"`
		Result  any           `json:"result,omitempty"`
	}
	if json.Unmarshal(body, &envelope) != nil || envelope.JSONRPC != mcp.JSONRPC_VERSION {
		return nil
	}
	switch {
	case envelope.ID == nil:
		var notification mcp.JSONRPCNotification
		if json.Unmarshal(body, &notification) != nil {
			return nil
		}
		return &Reading{Kind: "notification", Method: notification.Method}
	case envelope.Method == "":
		return &Reading{Kind: "response"}
	}
	reading := &Reading{Kind: "request", Method: string(envelope.Method)}
	if !readMcpGoRequest(body, reading) {
		return nil
	}
	return reading
}

// into decodes the message into a request; `take` copies what the oracle compares.
func into[R any](body []byte, take func(request *R)) bool {
	var request R
	if json.Unmarshal(body, &request) != nil {
		return false
	}
	take(&request)
	return true
}

func readMcpGoRequest(body []byte, reading *Reading) bool {
	if !into(body, func(request *mcp.PingRequest) { reading.Version = mcpGoVersion(request.Params.Meta) }) {
		return false
	}
	switch mcp.MCPMethod(reading.Method) {
	case mcp.MethodToolsCall:
		return into(body, func(request *mcp.CallToolRequest) { reading.Name = &request.Params.Name })
	case mcp.MethodPromptsGet:
		return into(body, func(request *mcp.GetPromptRequest) { reading.Name = &request.Params.Name })
	case mcp.MethodResourcesRead:
		return into(body, func(request *mcp.ReadResourceRequest) { reading.URI = &request.Params.URI })
	case mcp.MethodResourcesSubscribe:
		return into(body, func(request *mcp.SubscribeRequest) { reading.URI = &request.Params.URI })
	case mcp.MethodResourcesUnsubscribe:
		return into(body, func(request *mcp.UnsubscribeRequest) { reading.URI = &request.Params.URI })
	case mcp.MethodCompletionComplete:
		return into(body, func(request *mcp.CompleteRequest) { reading.Reference = mcpGoReference(request.Params.Ref) })
	case mcp.MethodToolsList, mcp.MethodPromptsList, mcp.MethodResourcesList, mcp.MethodResourcesTemplatesList,
		mcp.MethodTasksList:
		return into(body, func(request *mcp.PaginatedRequest) { reading.Cursor = (*string)(&request.Params.Cursor) })
	case mcp.MethodTasksGet:
		return into(body, func(request *mcp.GetTaskRequest) { reading.Task = &request.Params.TaskId })
	case mcp.MethodTasksResult:
		return into(body, func(request *mcp.TaskResultRequest) { reading.Task = &request.Params.TaskId })
	case mcp.MethodTasksCancel:
		return into(body, func(request *mcp.CancelTaskRequest) { reading.Task = &request.Params.TaskId })
	case mcp.MethodInitialize:
		return into(body, func(request *mcp.InitializeRequest) {
			if *reading.Version == "" {
				reading.Version = &request.Params.ProtocolVersion
			}
		})
	case mcp.MethodSubscriptionsListen:
		return into(body, func(request *mcp.SubscriptionsListenRequest) {
			reading.Subscriptions = &request.Params.Notifications.ResourceSubscriptions
		})
	}
	return true
}

func mcpGoVersion(meta *mcp.Meta) *string {
	version := ""
	if meta != nil {
		version = meta.ProtocolVersion()
	}
	return &version
}

func mcpGoReference(reference any) []string {
	switch reference := reference.(type) {
	case mcp.PromptReference:
		return []string{reference.Type, reference.Name}
	case mcp.ResourceReference:
		return []string{reference.Type, reference.URI}
	}
	return nil
}
