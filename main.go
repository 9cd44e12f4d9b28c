// WhaleFall shows what is big in your databases, what grows, and when it is full.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"whalefall/cli"
)

// version is set by the release build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := cli.Run(ctx, os.Args[1:], cli.Program{Version: version, In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(status)
}
