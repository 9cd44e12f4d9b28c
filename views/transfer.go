package views

import "whalefall/models"

// ImportForm is the page that creates instances from a file.
type ImportForm struct {
	Credentials []models.Credential // whose ids a file may name
	Columns     []ImportColumn
	Result      *ImportResult // nil: nothing was imported yet
	Problem     *Failure      // nil: nothing was refused
}

// ImportColumn is a column that a file may have.
type ImportColumn struct {
	Name     string
	Required bool
}

// ImportResult says what became of a file.
type ImportResult struct {
	File    string // as the person calls it
	Created int
	Errors  []string // what was left out, and why
}

const importPath = "/instances/import"
