package mutants

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMutantsOfStatements(t *testing.T) {
	tests := []struct {
		name, statement string
		want            []mutant
	}{
		{"columns", "-- Columns: a, c.\nSELECT a AS b, CAST(c AS varchar(10)) FROM t", []mutant{
			{"NULL for a", "-- Columns: a, c.\nSELECT NULL AS b, CAST(c AS varchar(10)) FROM t"},
			{"NULL for CAST(c AS varchar(10))", "-- Columns: a, c.\nSELECT a AS b, NULL FROM t"},
		}},
		{"distinct and order", "SELECT DISTINCT a FROM t ORDER BY a", []mutant{
			{"without DISTINCT", "SELECT a FROM t ORDER BY a"},
			{"NULL for a", "SELECT DISTINCT NULL FROM t ORDER BY a"},
			{"without ORDER BY a", "SELECT DISTINCT a FROM t "},
		}},
		{"left join", "SELECT a FROM t LEFT JOIN u ON b AND c", []mutant{
			{"NULL for a", "SELECT NULL FROM t LEFT JOIN u ON b AND c"},
			{"1 = 1 for b", "SELECT a FROM t LEFT JOIN u ON 1 = 1 AND c"},
			{"1 = 1 for c", "SELECT a FROM t LEFT JOIN u ON b AND 1 = 1"},
			{"JOIN for LEFT JOIN u", "SELECT a FROM t JOIN u ON b AND c"},
			{"nothing joined from u", "SELECT a FROM t LEFT JOIN u ON 1 = 0"},
		}},
		{"joins", "SELECT a FROM t JOIN u ON b INNER JOIN v ON c", []mutant{
			{"NULL for a", "SELECT NULL FROM t JOIN u ON b INNER JOIN v ON c"},
			{"1 = 1 for b", "SELECT a FROM t JOIN u ON 1 = 1 INNER JOIN v ON c"},
			{"LEFT JOIN for JOIN u", "SELECT a FROM t LEFT JOIN u ON b INNER JOIN v ON c"},
			{"1 = 1 for c", "SELECT a FROM t JOIN u ON b INNER JOIN v ON 1 = 1"},
			{"LEFT JOIN for JOIN v", "SELECT a FROM t JOIN u ON b LEFT JOIN v ON c"},
		}},
		{"conditions", "SELECT 1 FROM t WHERE a BETWEEN b AND c AND (d OR NOT (e AND f))", []mutant{
			{"NULL for 1", "SELECT NULL FROM t WHERE a BETWEEN b AND c AND (d OR NOT (e AND f))"},
			{"1 = 1 for a BETWEEN b AND c", "SELECT 1 FROM t WHERE 1 = 1 AND (d OR NOT (e AND f))"},
			{"1 = 1 for (d OR NOT (e AND f))", "SELECT 1 FROM t WHERE a BETWEEN b AND c AND 1 = 1"},
			{"1 = 0 for d", "SELECT 1 FROM t WHERE a BETWEEN b AND c AND (1 = 0 OR NOT (e AND f))"},
			{"1 = 1 for d", "SELECT 1 FROM t WHERE a BETWEEN b AND c AND (1 = 1 OR NOT (e AND f))"},
			{"1 = 0 for NOT (e AND f)", "SELECT 1 FROM t WHERE a BETWEEN b AND c AND (d OR 1 = 0)"},
			{"1 = 1 for NOT (e AND f)", "SELECT 1 FROM t WHERE a BETWEEN b AND c AND (d OR 1 = 1)"},
			{"1 = 1 for e", "SELECT 1 FROM t WHERE a BETWEEN b AND c AND (d OR NOT (1 = 1 AND f))"},
			{"1 = 1 for f", "SELECT 1 FROM t WHERE a BETWEEN b AND c AND (d OR NOT (e AND 1 = 1))"},
			{"2 for SELECT 1", "SELECT 2 FROM t WHERE a BETWEEN b AND c AND (d OR NOT (e AND f))"},
			{"NOT BETWEEN in t WHERE a BETWEEN b AND c", "SELECT 1 FROM t WHERE a NOT BETWEEN b AND c AND (d OR NOT (e AND f))"},
			{"without NOT in (d OR NOT (e AND", "SELECT 1 FROM t WHERE a BETWEEN b AND c AND (d OR (e AND f))"},
		}},
		{"cases", "SELECT CASE WHEN a THEN b WHEN c THEN d ELSE e END AS x, CASE f WHEN g THEN h END FROM t", []mutant{
			{"NULL for CASE WHEN a THEN b WHEN c THEN d ELSE e END", "SELECT NULL AS x, CASE f WHEN g THEN h END FROM t"},
			{"NULL for CASE f WHEN g THEN h END", "SELECT CASE WHEN a THEN b WHEN c THEN d ELSE e END AS x, NULL FROM t"},
			{"without ELSE e", "SELECT CASE WHEN a THEN b WHEN c THEN d END AS x, CASE f WHEN g THEN h END FROM t"},
			{"1 = 1 for a", "SELECT CASE WHEN 1 = 1 THEN b WHEN c THEN d ELSE e END AS x, CASE f WHEN g THEN h END FROM t"},
			{"without WHEN a THEN b", "SELECT CASE WHEN c THEN d ELSE e END AS x, CASE f WHEN g THEN h END FROM t"},
			{"1 = 1 for c", "SELECT CASE WHEN a THEN b WHEN 1 = 1 THEN d ELSE e END AS x, CASE f WHEN g THEN h END FROM t"},
			{"without WHEN c THEN d", "SELECT CASE WHEN a THEN b ELSE e END AS x, CASE f WHEN g THEN h END FROM t"},
		}},
		{"comparisons", "SELECT a FROM t WHERE b < 2 AND c <> 'x' AND d IS NULL", []mutant{
			{"NULL for a", "SELECT NULL FROM t WHERE b < 2 AND c <> 'x' AND d IS NULL"},
			{"1 = 1 for b < 2", "SELECT a FROM t WHERE 1 = 1 AND c <> 'x' AND d IS NULL"},
			{"1 = 1 for c <> 'x'", "SELECT a FROM t WHERE b < 2 AND 1 = 1 AND d IS NULL"},
			{"1 = 1 for d IS NULL", "SELECT a FROM t WHERE b < 2 AND c <> 'x' AND 1 = 1"},
			{">= for < in t WHERE b < 2 AND c", "SELECT a FROM t WHERE b >= 2 AND c <> 'x' AND d IS NULL"},
			{"<= for < in t WHERE b < 2 AND c", "SELECT a FROM t WHERE b <= 2 AND c <> 'x' AND d IS NULL"},
			{"3 for t WHERE b < 2", "SELECT a FROM t WHERE b < 3 AND c <> 'x' AND d IS NULL"},
			{"= for <> in 2 AND c <> 'x' AND d", "SELECT a FROM t WHERE b < 2 AND c = 'x' AND d IS NULL"},
			{"other than 2 AND c <> 'x'", "SELECT a FROM t WHERE b < 2 AND c <> 'x~' AND d IS NULL"},
			{"NOT NULL in AND d IS NULL", "SELECT a FROM t WHERE b < 2 AND c <> 'x' AND d IS NOT NULL"},
		}},
		{"lists", "SELECT a FROM t WHERE b IN (1, 'x', :c) AND d NOT IN (SELECT e FROM u)", []mutant{
			{"NULL for a", "SELECT NULL FROM t WHERE b IN (1, 'x', :c) AND d NOT IN (SELECT e FROM u)"},
			{"1 = 1 for b IN (1, 'x', :c)", "SELECT a FROM t WHERE 1 = 1 AND d NOT IN (SELECT e FROM u)"},
			{"1 = 1 for d NOT IN (SELECT e FROM u)", "SELECT a FROM t WHERE b IN (1, 'x', :c) AND 1 = 1"},
			{"without 1 in b IN (1, 'x', :c)", "SELECT a FROM t WHERE b IN ('x', :c) AND d NOT IN (SELECT e FROM u)"},
			{"without 'x' in b IN (1, 'x', :c)", "SELECT a FROM t WHERE b IN (1, :c) AND d NOT IN (SELECT e FROM u)"},
			{"without :c in b IN (1, 'x', :c)", "SELECT a FROM t WHERE b IN (1, 'x') AND d NOT IN (SELECT e FROM u)"},
			{"NOT IN in t WHERE b IN (1,", "SELECT a FROM t WHERE b NOT IN (1, 'x', :c) AND d NOT IN (SELECT e FROM u)"},
			{"2 for WHERE b IN (1", "SELECT a FROM t WHERE b IN (2, 'x', :c) AND d NOT IN (SELECT e FROM u)"},
			{"other than IN (1, 'x'", "SELECT a FROM t WHERE b IN (1, 'x~', :c) AND d NOT IN (SELECT e FROM u)"},
			{"without NOT in ) AND d NOT IN (SELECT", "SELECT a FROM t WHERE b IN (1, 'x', :c) AND d IN (SELECT e FROM u)"},
			{"NULL for e", "SELECT a FROM t WHERE b IN (1, 'x', :c) AND d NOT IN (SELECT NULL FROM u)"},
		}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, mutantsOf(test.statement), cmp.AllowUnexported(mutant{})); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}
