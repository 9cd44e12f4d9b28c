// Package cli implements WhaleFall's command line: a file per command, the settings they share, and the wiring of
// store, collectors and handlers.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	_ "time/tzdata" // the configured zone must exist on a machine without a zone database

	"github.com/alecthomas/kong"

	"whalefall/collectors"
	"whalefall/models"
)

// Program describes one run of the command line.
type Program struct {
	Version  string // of this release
	In       io.Reader
	Out, Err io.Writer

	// Engines returns the collectors to use under the settings; nil means Engines of this package.
	Engines func(*Settings, *slog.Logger) map[models.Engine]collectors.Collector
}

// commands is the command line. Every flag can also be set by its variable, and a secret by <VARIABLE>_FILE.
type commands struct {
	Settings `embed:""`

	Serve     serveCmd     `cmd:"" default:"1" help:"Serve pages and API (the default)."`
	Migrate   migrateCmd   `cmd:"" help:"Migrate the store to this release's schema and list the applied migrations."`
	User      userCmd      `cmd:"" help:"List and add users, reset passwords."`
	Selfcheck selfcheckCmd `cmd:"" help:"Compare what is collected from an instance with the engine's own figures."`
	OpenAPI   openapiCmd   `cmd:"" name:"openapi" help:"Print the OpenAPI document of the API."`
	Config    configCmd    `cmd:"" help:"Print the settings in force for a shell to read back, secrets redacted."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
	Collector collectorCmd `cmd:"" hidden:"" help:"Make one call of a collector for the process that started this one."`
}

// Run parses args and runs one command until it is done or ctx ends. It returns the exit status: 1 when the command
// failed, 2 when the command line or a setting is wrong.
func Run(ctx context.Context, args []string, p Program) int {
	if p.Engines == nil {
		p.Engines = Engines
	}

	var c commands
	exit := -1
	parser, err := c.parser(ctx, p, func(code int) { exit = code })
	if err != nil {
		return p.fail(err, 2)
	}

	command, err := parser.Parse(args)
	if exit >= 0 { // --help
		return exit
	}
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return p.fail(err, 2)
	}

	if err := command.Run(&c.Settings); err != nil && !errors.Is(err, context.Canceled) {
		return p.fail(err, 1)
	}
	return 0
}

// parser returns a parser of command lines into c.
func (c *commands) parser(ctx context.Context, p Program, exit func(int)) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("whalefall"), kong.Description("What is big and what is growing: table sizes across all your databases."),
		kong.Writers(p.Out, p.Err), kong.Exit(exit),
		kong.Resolvers(secretFiles()), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(p),
	)
}

// fail prints err in one line and returns status.
func (p Program) fail(err error, status int) int {
	fmt.Fprintln(p.Err, "whalefall:", strings.ReplaceAll(err.Error(), "\n", ": "))
	return status
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(p Program) error {
	_, err := fmt.Fprintln(p.Out, "whalefall", p.Version)
	return err
}
