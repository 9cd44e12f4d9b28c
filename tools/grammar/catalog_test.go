package grammar

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// catalog holds the views that the reference pages list.
type catalog struct {
	dialect *dialect
	views   []view
}

type view struct {
	Schema  string
	Name    string
	Page    string
	Since   string
	Columns []struct{ Name, Type, Since string }
}

func (d *dialect) catalog() (*catalog, error) {
	content, err := os.ReadFile("../../testenv/catalog/" + d.name + ".json")
	if err != nil {
		return nil, err
	}
	c := &catalog{dialect: d}
	if err := json.Unmarshal(content, &c.views); err != nil {
		return nil, fmt.Errorf("%s.json: %w", d.name, err)
	}
	return c, nil
}

// view returns the view that a table in FROM refers to; nil if there is none.
func (c *catalog) view(t table) *view {
	schema, name := c.dialect.schema, t.path[len(t.path)-1]
	if len(t.path) == 2 {
		schema = t.path[0]
	}
	i := slices.IndexFunc(c.views, func(v view) bool {
		return v.Name == name && (v.Schema == schema || v.Schema == "" && schema == c.dialect.owner)
	})
	if i < 0 {
		return nil
	}
	return &c.views[i]
}

// check looks up each view and column of the statement. Those that are newer than the oldest supported version must be
// covered by the version in the statement's header.
func (c *catalog) check(statement string, selects []*scope) []problem {
	since, err := c.dialect.version(header(statement, "Since"))
	if err != nil {
		return []problem{{position{1, 1}, err.Error()}}
	}
	checker := &checker{catalog: c, since: max(since, c.dialect.oldest), views: map[*scope][]named{}}
	for _, s := range selects {
		checker.tables(s)
	}
	for _, s := range selects {
		checker.columns(s)
	}
	return checker.problems
}

// header returns the text after "-- key:" in the statement, without its full stop; empty if there is none.
func header(statement, key string) string {
	for line := range strings.Lines(statement) {
		if value, ok := strings.CutPrefix(line, "-- "+key+":"); ok {
			return strings.TrimSuffix(strings.TrimSpace(value), ".")
		}
	}
	return ""
}

// named is a view by the name that columns call it by.
type named struct {
	name string
	view *view
}

type checker struct {
	*catalog
	since    float64
	views    map[*scope][]named
	problems []problem
}

func (c *checker) fail(where position, format string, args ...any) {
	c.problems = append(c.problems, problem{where, fmt.Sprintf(format, args...)})
}

func (c *checker) tables(s *scope) {
	for _, t := range s.tables {
		v := c.view(t)
		if v == nil {
			c.fail(t.position, "no view %s in %s.json", strings.Join(t.path, "."), c.dialect.name)
			continue
		}
		c.age(t.position, v.Name, v.Since, v.Page)
		name := t.alias
		if name == "" {
			name = v.Name
		}
		c.views[s] = append(c.views[s], named{name, v})
	}
}

func (c *checker) age(where position, what, since, page string) {
	version, err := c.dialect.version(since)
	if err != nil {
		c.fail(where, "%s: %v", what, err)
	}
	if version > c.since {
		c.fail(where, "%s exists since %s, which the header does not say: %s", what, since, page)
	}
}

func (c *checker) columns(s *scope) {
	if len(c.views[s]) < len(s.tables) {
		return // the unknown view is reported; its columns would be noise
	}
	for _, column := range s.columns {
		if column.sorts && column.table == "" && slices.Contains(s.outputs, column.name) {
			continue
		}
		if column.table == "" && slices.Contains(c.dialect.pseudo, column.name) {
			continue
		}
		c.column(s, column)
	}
}

// column looks from the innermost SELECT outwards, as the engines do.
func (c *checker) column(s *scope, col column) {
	var pages []string
	for ; s != nil; s = s.outer {
		found := 0
		for _, n := range c.views[s] {
			if col.table != "" && col.table != n.name {
				continue
			}
			pages = append(pages, n.view.Name+" "+n.view.Page)
			for _, known := range n.view.Columns {
				if known.Name == col.name {
					found++
					c.age(col.position, col.name, known.Since, n.view.Page)
				}
			}
		}
		if found > 1 {
			c.fail(col.position, "%s is ambiguous: %s", col.name, strings.Join(pages, ", "))
		}
		if found > 0 {
			return
		}
	}
	if len(pages) == 0 {
		c.fail(col.position, "nothing in FROM is called %s", col.table)
		return
	}
	c.fail(col.position, "no column %s: %s", col.name, strings.Join(pages, ", "))
}

// version parses a version; the empty text is 0.
func (d *dialect) version(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	match := d.pattern.FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("%q names no version of %s", text, d.name)
	}
	return strconv.ParseFloat(match[1], 64)
}

// dialect is what differs between the engines.
type dialect struct {
	name    string
	parse   parser
	schema  string         // of names without one
	owner   string         // schema of views that are documented without one
	oldest  float64        // oldest supported version
	pattern *regexp.Regexp // finds the number of a version
	pseudo  []string       // pseudocolumns
}

var dialects = []*dialect{
	{name: "sqlserver", parse: parseTSQL, schema: "dbo", oldest: 11, pattern: regexp.MustCompile(`\b(\d+)\.x\b`)},
	{
		name: "oracle", parse: parsePLSQL, schema: "SYS", owner: "SYS", oldest: 11.2,
		pattern: regexp.MustCompile(`\b(\d+(?:\.\d+)?)c?\b`), pseudo: []string{"ROWNUM", "SYSDATE", "USER"},
	},
}
