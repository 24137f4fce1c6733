package main

import (
	"bytes"
	stdjson "encoding/json"
	"net/url"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/segmentio/encoding/json"
)

// readGoSDK decodes a message as the official Go SDK does: the envelope by jsonrpc.DecodeMessage, then the
// params into the type of the method (mcp/shared.go newMethodInfo).
func readGoSDK(body []byte) *Reading {
	message, err := jsonrpc.DecodeMessage(body)
	if err != nil {
		return nil
	}
	request, ok := message.(*jsonrpc.Request)
	if !ok {
		return &Reading{Kind: "response"}
	}
	if !request.IsCall() {
		return &Reading{Kind: "notification", Method: request.Method}
	}
	reading := &Reading{Kind: "request", Method: request.Method}
	if !readGoSDKParams(request.Params, reading) {
		return nil
	}
	return reading
}

// params decodes the params of a method; `take` copies what the oracle compares. Absent params and null are as
// in newMethodInfo, with the limit of depth that DecodeMessage has applied to the message before.
func params[T any](raw stdjson.RawMessage, required bool, take func(params *T)) bool {
	var params *T
	if raw != nil {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.DontMatchCaseInsensitiveStructFields()
		if decoder.Decode(&params) != nil {
			return false
		}
	}
	if params == nil {
		if required {
			return false
		}
		params = new(T)
	}
	take(params)
	return true
}

func readGoSDKParams(raw stdjson.RawMessage, reading *Reading) bool {
	switch reading.Method {
	case "tools/call":
		return params(raw, true, func(params *mcp.CallToolParamsRaw) {
			reading.Name, reading.Version = &params.Name, goSDKVersion(params.Meta)
		})
	case "prompts/get":
		return params(raw, true, func(params *mcp.GetPromptParams) {
			reading.Name, reading.Version = &params.Name, goSDKVersion(params.Meta)
		})
	case "resources/read":
		return params(raw, true, func(params *mcp.ReadResourceParams) {
			reading.URI, reading.Version = &params.URI, goSDKVersion(params.Meta)
			reading.Resolved = resolve(params.URI)
		})
	case "resources/subscribe":
		return params(raw, true, func(params *mcp.SubscribeParams) { reading.URI = &params.URI })
	case "resources/unsubscribe":
		return params(raw, true, func(params *mcp.UnsubscribeParams) { reading.URI = &params.URI })
	case "completion/complete":
		return params(raw, true, func(params *mcp.CompleteParams) {
			reading.Reference, reading.Version = goSDKReference(params.Ref), goSDKVersion(params.Meta)
		})
	case "tools/list":
		return params(raw, false, func(params *mcp.ListToolsParams) {
			reading.Cursor, reading.Version = &params.Cursor, goSDKVersion(params.Meta)
		})
	case "prompts/list":
		return params(raw, false, func(params *mcp.ListPromptsParams) {
			reading.Cursor, reading.Version = &params.Cursor, goSDKVersion(params.Meta)
		})
	case "resources/list":
		return params(raw, false, func(params *mcp.ListResourcesParams) {
			reading.Cursor, reading.Version = &params.Cursor, goSDKVersion(params.Meta)
		})
	case "resources/templates/list":
		return params(raw, false, func(params *mcp.ListResourceTemplatesParams) {
			reading.Cursor, reading.Version = &params.Cursor, goSDKVersion(params.Meta)
		})
	case "subscriptions/listen":
		return params(raw, true, func(params *mcp.SubscriptionsListenParams) {
			var subscriptions []string
			if params.Notifications != nil {
				subscriptions = params.Notifications.ResourceSubscriptions
			}
			reading.Subscriptions = &subscriptions
		})
	}
	return true
}

// resolve returns the URI as code that uses net/url reads and writes it; nil if it rejects the URI.
func resolve(uri string) *string {
	parsed, err := url.Parse(uri)
	if err != nil {
		return nil
	}
	text := parsed.String()
	return &text
}

func goSDKVersion(meta mcp.Meta) *string {
	version, _ := meta[mcp.MetaKeyProtocolVersion].(string)
	return &version
}

func goSDKReference(reference *mcp.CompleteReference) []string {
	if reference == nil {
		return nil
	}
	if reference.Type == "ref/prompt" {
		return []string{reference.Type, reference.Name}
	}
	return []string{reference.Type, reference.URI}
}
