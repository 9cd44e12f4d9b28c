package models

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"gorm.io/gorm"
)

// fold maps text to the form in which case does not matter. Folded columns hold it beside the original.
func fold(text string) string {
	if isASCII(text) {
		return strings.ToLower(text) // the same, in a fraction of the time
	}
	return cases.Fold().String(text)
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// nothing is the condition of a filter that no stored row can meet.
const nothing = "1 = 0"

// search keeps the rows in which one of the folded columns holds the term, literally. An empty term keeps all.
func (s *Store) search(tx *gorm.DB, term string, columns ...string) *gorm.DB {
	if term == "" {
		return tx
	}
	if !storable(term) {
		return tx.Where(nothing)
	}
	conditions := make([]string, len(columns))
	patterns := make([]any, len(columns))
	for i, column := range columns {
		conditions[i] = s.dialect.contains(column)
		patterns[i] = s.dialect.pattern(fold(term))
	}
	return tx.Where("("+strings.Join(conditions, " OR ")+")", patterns...)
}

// equal keeps the rows whose column is the value. An empty value keeps all.
func equal(tx *gorm.DB, column, value string) *gorm.DB {
	switch {
	case value == "":
		return tx
	case !storable(value):
		return tx.Where(nothing)
	}
	return tx.Where(column+" = ?", value)
}

func direction(desc bool) string {
	if desc {
		return " DESC NULLS LAST"
	}
	return " ASC NULLS LAST"
}

// listOrder sorts by a column of orders, and by the row's id where that is the same.
func listOrder(orders map[string]string, sort string, desc bool, id string) string {
	order, known := orders[sort]
	if !known {
		order = id
	}
	return order + direction(desc) + ", " + id + direction(desc)
}
