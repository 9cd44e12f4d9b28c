package cli

import "whalefall/handlers"

type openapiCmd struct {
	Check bool `help:"Print nothing; fail if the served document differs from what the routes produce."`
}

// Run prints the OpenAPI document of the API, or checks the one that is served.
func (c openapiCmd) Run(p Program) error {
	if c.Check {
		return handlers.CheckDocument()
	}
	_, err := p.Out.Write(handlers.Document())
	return err
}
