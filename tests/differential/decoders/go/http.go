package main

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net"
	"net/http"
)

// serve starts an HTTP server for messages whose headers matter. Both SDKs check the media type, ignore the
// charset and decode the bytes of the body (mcp-go server/streamable_http.go handlePost, go-sdk
// mcp/streamable_server.go servePOST). The answer has a line per decoder.
func serve() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	go http.Serve(listener, http.HandlerFunc(handle))
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func handle(writer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	media, _, mediaErr := mime.ParseMediaType(request.Header.Get("Content-Type"))
	var answer bytes.Buffer
	encoder := json.NewEncoder(&answer)
	for _, read := range decoders {
		var reading *Reading
		if err == nil && mediaErr == nil && media == "application/json" {
			reading = read(body)
		}
		if err := encoder.Encode(reading); err != nil {
			http.Error(writer, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	writer.Write(answer.Bytes())
}
