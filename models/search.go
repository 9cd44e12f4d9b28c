package models

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"gorm.io/gorm"
)

// fold returns text in the form in which case does not matter. Folded columns hold it beside the original.
func fold(text string) string {
	if isASCII(text) {
		return strings.ToLower(text) // the same for ASCII, and much faster
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

// nothing is a condition that no row meets.
const nothing = "1 = 0"

// search keeps rows in which one of the folded columns contains the term, taken literally. An empty term keeps all.
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

// equal keeps rows whose column equals the value. An empty value keeps all.
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

// listOrder returns the ORDER BY for a sort of orders, by id if it is unknown, with id as the last key.
func listOrder(orders map[string]string, sort string, desc bool, id string) string {
	order, known := orders[sort]
	if !known {
		order = id
	}
	return order + direction(desc) + ", " + id + direction(desc)
}
