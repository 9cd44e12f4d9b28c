// WhaleFall shows what is big in your databases, what grows, and when it is full.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	_ "time/tzdata" // the configured zone must exist on a machine without a zone database

	"github.com/alecthomas/kong"

	"whalefall/collectors"
	"whalefall/models"
)

// version is set by the release build.
var version = "dev"

// cli is the command line. Every flag is also a variable; secrets may be given as <VARIABLE>_FILE, too.
type cli struct {
	Settings `embed:""`

	Serve     serveCmd     `cmd:"" default:"1" help:"Serve pages and API (the default)."`
	Migrate   migrateCmd   `cmd:"" help:"Bring the store to this release's schema and say which version it has."`
	User      userCmd      `cmd:"" help:"Manage who may log in."`
	Selfcheck selfcheckCmd `cmd:"" help:"Hold what is collected from an instance against the engine's own word."`
	OpenAPI   openapiCmd   `cmd:"" name:"openapi" help:"Print the OpenAPI document of the API."`
	Config    configCmd    `cmd:"" help:"Print the configuration in force, secrets redacted."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

// console is where commands write to and read from.
type console struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], console{in: os.Stdin, out: os.Stdout, err: os.Stderr}, shipped)
	stop()
	os.Exit(status)
}

// engines are what a command collects with under its settings.
type engines func(*Settings) map[models.Engine]collectors.Collector

// shipped are the engines of this release.
func shipped(s *Settings) map[models.Engine]collectors.Collector {
	return collectors.Engines(append(s.SqliteDirs, s.DataDir), append(s.WalletDirs, filepath.Join(s.DataDir, "wallets")))
}

// run parses the command line and runs one command; it returns the exit status: 1 when the command
// failed, 2 when the command line or a setting was wrong.
func run(ctx context.Context, args []string, io console, with engines) int {
	var c cli
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("whalefall"), kong.Description("What is big, what grows, when is it full: table sizes over all your databases."),
		kong.Writers(io.out, io.err), kong.Exit(func(code int) { exit = code }),
		kong.Resolvers(secretFiles()), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(io, with),
	)
	if err != nil {
		return io.fail(err, 2)
	}
	command, err := parser.Parse(args)
	if exit >= 0 {
		return exit
	}
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return io.fail(err, 2)
	}
	if err := command.Run(&c.Settings); err != nil && !errors.Is(err, context.Canceled) {
		return io.fail(err, 1)
	}
	return 0
}

// fail says what went wrong in one line and passes the exit status on.
func (c console) fail(err error, status int) int {
	fmt.Fprintln(c.err, "whalefall:", strings.ReplaceAll(err.Error(), "\n", ": "))
	return status
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(io console) error {
	_, err := fmt.Fprintln(io.out, "whalefall", version)
	return err
}
