package oracle

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"whalefall/testenv/catalog"
)

const (
	root       = "CDB$ROOT"
	dateFormat = "2006-01-02 15:04:05"
	dateMark   = "\x02" // before a DATE among SQLite's values, which has no such type
)

// viewsOf returns the views that a version has, with its columns, in the schema SYS.
func viewsOf(version string) []catalog.View {
	var views []catalog.View
	for _, view := range catalog.Views("oracle") {
		if older(version, view.Since) {
			continue
		}
		view.Schema = "SYS"
		view.Columns = slices.DeleteFunc(view.Columns, func(c catalog.Column) bool { return older(version, c.Since) })
		views = append(views, view)
	}
	return views
}

// older reports whether the version precedes the one that introduced a column.
func older(version, since string) bool {
	return since != "" && slices.Compare(numbers(version), numbers(since)) < 0
}

func numbers(version string) []int {
	var all []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			panic(fmt.Errorf("version %q: %w", version, err))
		}
		all = append(all, n)
	}
	return all
}

// dictionary returns the views as the user sees them. The caller holds the lock.
func (s *Server) dictionary(ctx context.Context, user string) (*sql.DB, error) {
	if db, ok := s.dictionaries[user]; ok {
		return db, nil
	}
	db, err := catalog.Open(context.WithoutCancel(ctx), s.views, s.content(user))
	if err == nil {
		s.dictionaries[user] = db
	}
	return db, err
}

// content returns the rows of all views as the user sees them.
func (s *Server) content(user string) catalog.Rows {
	given := s.system()
	maps.Copy(given, s.rows)
	given["DBA_USERS"] = s.accounts()
	given["DBA_ALL_TABLES"] = slices.Concat(s.projected("DBA_ALL_TABLES", given["DBA_TABLES"]), given["DBA_ALL_TABLES"])
	for _, view := range s.views {
		if source, ok := strings.CutPrefix(view.Name, "USER_"); ok {
			given[view.Name] = s.projected(view.Name, own(given["DBA_"+source], s.ownerColumn("DBA_"+source), user))
		}
	}
	content := catalog.Rows{}
	for name, rows := range given {
		if i := s.view(name); i >= 0 {
			content["SYS."+name] = stored(s.views[i], rows)
		} else if !newer(name, "") {
			content[name] = rows // a mistake in the rows, which catalog.Open reports
		}
	}
	return content
}

func (s *Server) view(name string) int {
	return slices.IndexFunc(s.views, func(v catalog.View) bool { return v.Name == name })
}

// ownerColumn returns the column with the owner of a DBA_ view's rows: the first, if it names a user; else "".
func (s *Server) ownerColumn(view string) string {
	i := s.view(view)
	if i < 0 {
		return ""
	}
	first := s.views[i].Columns[0].Name
	if strings.HasSuffix(first, "OWNER") || first == "USERNAME" {
		return first
	}
	return ""
}

func own(rows []map[string]any, column, user string) []map[string]any {
	if column == "" {
		return rows
	}
	return slices.DeleteFunc(slices.Clone(rows), func(row map[string]any) bool { return row[column] != user })
}

// projected returns the rows with only the columns that the view has.
func (s *Server) projected(view string, rows []map[string]any) []map[string]any {
	has := map[string]bool{}
	if i := s.view(view); i >= 0 {
		for _, column := range s.views[i].Columns {
			has[column.Name] = true
		}
	}
	kept := make([]map[string]any, len(rows))
	for i, row := range rows {
		kept[i] = maps.Clone(row)
		maps.DeleteFunc(kept[i], func(name string, _ any) bool { return !has[name] })
	}
	return kept
}

// stored returns the rows as SQLite keeps them: without columns that are newer than the version, with dates marked, and
// with NULL for the empty string, which Oracle does not distinguish.
func stored(view catalog.View, rows []map[string]any) []map[string]any {
	types := map[string]string{}
	for _, column := range view.Columns {
		types[column.Name] = column.Type
	}
	kept := make([]map[string]any, len(rows))
	for i, row := range rows {
		kept[i] = maps.Clone(row)
		for name, value := range row {
			kind, ok := types[name]
			text, isText := value.(string)
			switch {
			case !ok && newer(view.Name, name):
				delete(kept[i], name)
			case value == "":
				kept[i][name] = nil
			case isText && (strings.HasPrefix(kind, "DATE") || strings.HasPrefix(kind, "TIMESTAMP")):
				kept[i][name] = dateMark + text
			}
		}
	}
	return kept
}

// newer reports whether a later version has the view, or its column if one is named. If not, the rows have a mistake.
func newer(view, column string) bool {
	return slices.ContainsFunc(everything(), func(v catalog.View) bool {
		has := func(c catalog.Column) bool { return c.Name == column }
		return v.Name == view && (column == "" || slices.ContainsFunc(v.Columns, has))
	})
}

// everything returns the views and columns of the newest version.
var everything = sync.OnceValue(func() []catalog.View { return catalog.Views("oracle") })

// accounts returns the rows of DBA_USERS: those that the test gave, and the users that AddUser added.
func (s *Server) accounts() []map[string]any {
	rows := slices.Clone(s.rows["DBA_USERS"])
	for _, name := range slices.Sorted(maps.Keys(s.users)) {
		if slices.ContainsFunc(rows, func(row map[string]any) bool { return row["USERNAME"] == name }) {
			continue
		}
		tablespace := s.users[name].Tablespace
		if tablespace == "" {
			tablespace = "USERS"
		}
		rows = append(rows, map[string]any{
			"USERNAME": name, "ACCOUNT_STATUS": "OPEN", "DEFAULT_TABLESPACE": tablespace,
			"TEMPORARY_TABLESPACE": "TEMP", "ORACLE_MAINTAINED": "N",
		})
	}
	return rows
}

// system returns the rows that describe the database itself.
func (s *Server) system() catalog.Rows {
	o := s.options
	product := "Oracle Database " + marketing(o.Version) + " Enterprise Edition"
	banner := product + " Release " + o.Version + " - Production"
	multitenant := "NO"
	if o.Container != "" {
		multitenant = "YES"
	}
	return catalog.Rows{
		"DUAL": {{"DUMMY": "X"}},
		"V$VERSION": {{
			"BANNER": banner, "BANNER_FULL": banner + "\nVersion " + o.FullVersion, "CON_ID": s.containerID(),
		}},
		"PRODUCT_COMPONENT_VERSION": {{
			"PRODUCT": product + " ", "VERSION": o.Version, "VERSION_FULL": o.FullVersion, "STATUS": "Production",
		}},
		"V$DATABASE": {{
			"NAME": strings.ToUpper(o.SID), "OPEN_MODE": "READ WRITE", "DATABASE_ROLE": "PRIMARY",
			"CDB": multitenant, "CON_ID": 0,
		}},
		"V$INSTANCE": {{
			"INSTANCE_NUMBER": 1, "INSTANCE_NAME": o.SID, "HOST_NAME": "db1",
			"VERSION": o.Version, "VERSION_FULL": o.FullVersion,
			"STATUS": "OPEN", "DATABASE_STATUS": "ACTIVE", "CON_ID": 0,
		}},
	}
}

// marketing returns the marketing name of a release, such as "11g" for 11.2.0.4.0.
func marketing(version string) string {
	major, _, _ := strings.Cut(version, ".")
	switch major {
	case "11":
		return "11g"
	case "23":
		return "23ai"
	default:
		return major + "c"
	}
}

// containerID returns CON_ID; 0 in a database that is not multitenant.
func (s *Server) containerID() int {
	switch s.options.Container {
	case "":
		return 0
	case root:
		return 1
	default:
		return 3
	}
}

// answered converts a value of SQLite to what go-ora returns: text for a NUMBER, a time without zone for a DATE.
func answered(value any) (any, error) {
	switch v := value.(type) {
	case int64:
		value = strconv.FormatInt(v, 10)
	case float64:
		value = strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		if moment, ok := strings.CutPrefix(v, dateMark); ok {
			return time.Parse(dateFormat, moment)
		}
		if v == "" {
			value = nil
		}
	}
	return value, nil
}
