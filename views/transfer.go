package views

import "whalefall/models"

// ImportForm is the model of the page that creates instances from a file.
type ImportForm struct {
	Credentials []models.Credential // the file refers to them by ID
	Columns     []ImportColumn
	Result      *ImportResult // nil: nothing has been imported yet
	Problem     *Failure      // why the file was refused; nil: it was not
}

// ImportColumn describes a column of the file.
type ImportColumn struct {
	Name     string
	Required bool
}

// ImportResult is the outcome of an import.
type ImportResult struct {
	File    string // name of the file as uploaded
	Created int
	Errors  []string // rows left out, and why
}

const importPath = "/instances/import"
