package collectortest

import (
	"testing"

	"whalefall/collectors"
	"whalefall/models"
)

// Tables collects tables, which must not fail, and returns them by name.
func Tables(
	t *testing.T, c collectors.Collector, target collectors.Target, database string,
) map[RelationName]models.TableSize {
	t.Helper()
	result, err := c.Tables(t.Context(), target, database)
	if err != nil {
		t.Fatal(err)
	}
	return ByName(t, result.Tables)
}

// RelationName identifies a relation within a database.
type RelationName struct{ Schema, Name string }

// Relation returns the name of a relation.
func Relation(schema, name string) RelationName { return RelationName{schema, name} }

// ByName returns tables by their names and fails for those that are listed twice.
func ByName(t *testing.T, tables []models.TableSize) map[RelationName]models.TableSize {
	t.Helper()
	found := make(map[RelationName]models.TableSize, len(tables))
	for _, table := range tables {
		name := RelationName{table.Schema, table.Name}
		if _, twice := found[name]; twice {
			t.Errorf("%q is listed twice", name)
		}
		found[name] = table
	}
	return found
}

// DatabaseNamed returns one database of a list.
func DatabaseNamed(t *testing.T, result models.DatabaseResult, name string) models.DatabaseSize {
	t.Helper()
	for _, d := range result.Databases {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("%q is not listed", name)
	return models.DatabaseSize{}
}
