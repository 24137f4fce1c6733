// The decoders of the Go SDKs, as a program that answers batches of messages on its standard input.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// Reading is what a decoder understands of a message. See src/reading.rs.
type Reading struct {
	Kind          string    `json:"kind"`
	Method        string    `json:"method"`
	Name          *string   `json:"name,omitempty"`
	URI           *string   `json:"uri,omitempty"`
	Resolved      *string   `json:"resolved,omitempty"`
	Reference     []string  `json:"reference,omitempty"`
	Cursor        *string   `json:"cursor,omitempty"`
	Task          *string   `json:"task,omitempty"`
	Subscriptions *[]string `json:"subscriptions,omitempty"`
	Version       *string   `json:"version,omitempty"`
}

// A decoder returns nil if it rejects the message.
type decoder func(body []byte) *Reading

var names = []string{"mcp-go", "go-sdk"}
var decoders = []decoder{readMcpGo, readGoSDK}

func main() {
	port, err := serve()
	if err == nil {
		err = answer(os.Stdin, os.Stdout, port)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// answer reads batches: the number of messages, then each with its length before it. It writes one line per
// message and decoder.
func answer(input io.Reader, output io.Writer, port int) error {
	in, out := bufio.NewReaderSize(input, 1<<20), bufio.NewWriterSize(output, 1<<20)
	hello := map[string]any{"decoders": names, "port": port, "absent_is_empty": true}
	if err := writeLine(out, hello); err != nil {
		return err
	}
	for {
		if err := out.Flush(); err != nil {
			return err
		}
		bodies, err := readBatch(in)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, body := range bodies {
			for _, read := range decoders {
				if err := writeLine(out, read(body)); err != nil {
					return err
				}
			}
		}
	}
}

func readBatch(in io.Reader) ([][]byte, error) {
	var count uint32
	if err := binary.Read(in, binary.LittleEndian, &count); err != nil {
		return nil, err
	}
	bodies := make([][]byte, count)
	for index := range bodies {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return nil, err
		}
		bodies[index] = make([]byte, binary.LittleEndian.Uint32(size[:]))
		if _, err := io.ReadFull(in, bodies[index]); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

func writeLine(out *bufio.Writer, value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if _, err := out.Write(line); err != nil {
		return err
	}
	return out.WriteByte('\n')
}
