// Command pstest serves Google's in-memory Pub/Sub (package pstest) on a loopback port, for tests of dovebeam.
//
// It prints the address that it listens on, and ends when its standard input does.
package main

import (
	"fmt"
	"io"
	"os"

	"cloud.google.com/go/pubsub/v2/pstest"
)

func main() {
	server := pstest.NewServer()
	defer server.Close()
	fmt.Println(server.Addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
}
