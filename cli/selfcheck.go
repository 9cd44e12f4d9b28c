package cli

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"

	"whalefall/collectors"
	"whalefall/models"
	"whalefall/views"
)

type selfcheckCmd struct {
	Instance  string   `required:"" help:"Name of the instance."`
	Database  []string `sep:"none" help:"Database (Oracle: tablespace) to check, repeatable; default: all user databases."`
	Anonymous bool     `help:"Replace names of databases, schemas and relations by hashes, stable per installation."`
	Tries     int      `default:"3" help:"Attempts for figures that change during the check."`
}

// Help is shown beside the flags.
func (selfcheckCmd) Help() string {
	return "Collects the databases of an instance, asks the engine for the same figures by other means and prints" +
		" every difference. The exit status is 1 if there is a difference or something could not be checked. Nothing" +
		" is stored, and the server is only read. Standard output contains no host, address, account or password, so" +
		" it can go into an issue."
}

// Validate returns an error for flags that parse but cannot work.
func (c selfcheckCmd) Validate() error {
	if c.Tries < 1 {
		return errors.New("--tries must be at least 1")
	}
	return nil
}

// Run checks an instance, active or not.
func (c selfcheckCmd) Run(ctx context.Context, s *Settings, p Program) error {
	return withStore(ctx, s, p, func(store *models.Store) error {
		log := newLogger(s, p.Err)
		engines := p.Engines(s, log)
		instance, err := store.InstanceByName(ctx, c.Instance)
		if err != nil {
			return fmt.Errorf("%s: %s", explain(err, plainly), strconv.Quote(c.Instance))
		}
		target, err := collectors.NewService(store, engines, log).TargetOf(instance)
		if err != nil {
			return errors.New(explain(err, plainly))
		}
		collector, ok := engines[instance.DBType]
		if !ok {
			return fmt.Errorf("this release cannot check instances of %s", instance.DBType)
		}
		target.Name = "(instance)" // it may be a host's name
		r := report{out: p.Out, version: p.Version, name: plainly}
		if c.Anonymous {
			if r.name, err = hashed(store.CookieKey()); err != nil {
				return err
			}
		}
		return c.check(ctx, collector, target, &r, log)
	})
}

// check prints a report on each database. Causes of errors, which may contain addresses, go to the log.
func (c selfcheckCmd) check(
	ctx context.Context, collector collectors.Collector, t collectors.Target, r *report, log *slog.Logger,
) error {
	server, err := collector.Version(ctx, t)
	if err != nil {
		return errors.New(explain(err, r.name))
	}
	r.header(t.Engine, server, c.Anonymous)
	names := c.Database
	if len(names) == 0 {
		if names, err = r.userDatabases(ctx, collector, t); err != nil {
			return errors.New(explain(err, r.name))
		}
	}
	for _, name := range names {
		r.line("\ndatabase %s", r.name(name))
		check, err := collectors.SelfCheck(ctx, collector, t, name, c.Tries)
		if err != nil {
			log.WarnContext(ctx, "database not checked", "database", name, "error", err)
			r.refused++
			r.line("  not checked: %s", explain(err, r.name))
			continue
		}
		r.basis(check)
		r.table(check)
		r.summary(check)
	}
	return r.result(len(names))
}

// report prints the results of a check and counts what makes it fail.
type report struct {
	out     io.Writer
	version string
	name    func(string) string // how a name of the server is shown

	differences, refused, open, incomplete int
}

func (r *report) line(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }

func (r *report) header(engine models.Engine, server models.Version, anonymous bool) {
	names := "as they are on the server; --anonymous replaces them"
	if anonymous {
		names = "replaced by hashes with a key of this installation"
	}
	r.line("WhaleFall selfcheck\n  product  WhaleFall %s\n  engine   %s\n  server   %s\n  names    %s",
		r.version, engine, oneLine(server.Full), names)
}

// userDatabases returns the databases that are open and not the engine's own, and prints those that are closed.
func (r *report) userDatabases(
	ctx context.Context, collector collectors.Collector, t collectors.Target,
) ([]string, error) {
	found, err := collector.Databases(ctx, t)
	if err != nil {
		return nil, err
	}
	var names, closed []string
	for _, d := range found.Databases {
		switch {
		case d.IsSystem:
		case d.Closed:
			closed = append(closed, explain(d.Err, r.name))
		default:
			names = append(names, d.Name)
		}
	}
	list := "complete"
	if !found.Complete {
		list = "there may be more" + missing(found.Grant)
	}
	r.line("  found    %s open; %s", plural(len(names), "user database"), list)
	for _, why := range closed {
		r.line("  closed   %s", why)
	}
	return names, nil
}

// basis prints what the collection found and by which means the engine is asked.
func (r *report) basis(c collectors.Check) {
	sources := map[models.SizeSource]int{}
	for _, t := range c.Result.Tables {
		sources[t.SizeSource]++
	}
	list := "complete"
	if !c.Result.Complete {
		list = fmt.Sprintf("may be incomplete, %d hidden%s", c.Result.Hidden, missing(c.Result.Grant))
	}
	scope := "the whole database"
	if c.Result.Scope != "" {
		scope = "only schema " + r.name(c.Result.Scope)
	}
	r.line("  ours     %s, %s; %s", plural(len(c.Result.Tables), "relation"), list, scope)
	r.line("           sizes: %d allocated, %d from statistics, %d unknown",
		sources[models.SizeAllocated], sources[models.SizeStatistic], sources[models.SizeNone])
	r.line("  engine's %s", c.Means)
}

// table prints a line for every figure that differs, for every relation without one, and for every sum.
func (r *report) table(c collectors.Check) {
	table := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	lines := 0
	write := func(cells ...string) {
		if lines++; lines == 1 {
			fmt.Fprintln(table, "\n  relation\tpart\tours\tengine's\tdifference")
		}
		fmt.Fprintln(table, "  "+strings.Join(cells, "\t"))
	}
	for _, sum := range c.Sums {
		for _, p := range sum.Parts {
			name := sum.Name
			if sum.Schema != "" {
				name += " " + r.name(sum.Schema)
			}
			write(name, p.Name, number(p.Ours), number(p.Engine), difference(p))
		}
	}
	for _, relation := range c.Relations {
		name := r.name(relation.Name)
		if relation.Schema != "" {
			name = r.name(relation.Schema) + "." + name
		}
		for _, p := range relation.Parts {
			write(name, p.Name, number(p.Ours), number(p.Engine), strings.TrimSpace(difference(p)+" "+relation.Why))
		}
		if len(relation.Parts) == 0 && relation.Why != "" {
			write(name, "", "", "", relation.Why)
		}
	}
	if lines > 0 {
		fmt.Fprintln(table)
	}
	_ = table.Flush()
}

// summary prints how many figures agree, and counts those that do not.
func (r *report) summary(c collectors.Check) {
	r.line("  %s", tally("relations", c.Relations, c.Lacks))
	if len(c.Sums) > 0 {
		r.line("  %s", tally("sums", c.Sums, ""))
	}
	if !c.Result.Complete {
		r.incomplete++
	}
	for _, compared := range [][]collectors.Compared{c.Relations, c.Sums} {
		for _, one := range compared {
			switch one.Verdict {
			case collectors.Different:
				r.differences++
			case collectors.Changed, collectors.Unread:
				r.open++
			case collectors.Equal, collectors.NoWord:
			}
		}
	}
}

// tally returns one line about relations or sums.
func tally(what string, compared []collectors.Compared, lacks string) string {
	n, unread := map[collectors.Verdict]int{}, map[string]int{}
	for _, one := range compared {
		n[one.Verdict]++
		if one.Verdict == collectors.Unread {
			unread[one.Why]++
		}
	}
	text := fmt.Sprintf("%s: %d compared, %d equal, %d different; %d changed meanwhile, %d not comparable", what,
		n[collectors.Equal]+n[collectors.Different], n[collectors.Equal], n[collectors.Different], n[collectors.Changed],
		n[collectors.NoWord]+n[collectors.Unread])
	var why []string
	if n[collectors.NoWord] > 0 {
		why = append(why, fmt.Sprintf("%d: the engine does not report %s", n[collectors.NoWord], lacks))
	}
	for _, reason := range []models.Unread{models.UnreadLocked, models.UnreadHidden, models.UnreadFailed} {
		if unread[string(reason)] > 0 {
			why = append(why, fmt.Sprintf("%d %s", unread[string(reason)], reason))
		}
	}
	if len(why) > 0 {
		text += " (" + strings.Join(why, ", ") + ")"
	}
	return text
}

// result prints the last line. It returns an error, for an exit status of 1, unless everything agrees.
func (r *report) result(databases int) error {
	var found []string
	for _, part := range []struct {
		n    int
		text string
	}{
		{r.differences, plural(r.differences, "difference")},
		{r.refused, fmt.Sprintf("%d of %s not checked", r.refused, plural(databases, "database"))},
		{r.incomplete, plural(r.incomplete, "database") + " possibly incomplete"},
		{r.open, plural(r.open, "figure") + " changed meanwhile or unread"},
	} {
		if part.n > 0 {
			found = append(found, part.text)
		}
	}
	if found == nil {
		r.line("\nresult: no difference in %s", plural(databases, "database"))
		return nil
	}
	text := strings.Join(found, "; ")
	r.line("\nresult: %s", text)
	return errors.New("selfcheck: " + text)
}

// plural returns the number with its noun.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func number(n *int64) string {
	if n == nil {
		return "unknown"
	}
	return strconv.FormatInt(*n, 10)
}

func difference(p collectors.Part) string {
	if p.Ours == nil || p.Engine == nil {
		return ""
	}
	return fmt.Sprintf("%+d", *p.Ours-*p.Engine)
}

// quoted matches the name of an account, a host or an object in a statement for a DBA.
var quoted = regexp.MustCompile(`"(?:[^"]|"")*"|'(?:[^'\\]|''|\\.)*'|\[(?:[^\]]|\]\])*\]`)

// privileges matches what a statement without such names grants.
var privileges = regexp.MustCompile(`(?:^|; )(GRANT [A-Za-z_, ]+?|CREATE USER) (?:ON|TO|…)`)

// missing returns the privileges that a statement would grant, as the end of a sentence.
func missing(statement string) string {
	var found []string
	for _, match := range privileges.FindAllStringSubmatch(quoted.ReplaceAllString(statement, "…"), -1) {
		found = append(found, match[1])
	}
	if found == nil {
		return ""
	}
	return "; missing: " + strings.Join(found, ", ")
}

// plainly quotes a name and escapes what a terminal would act on.
func plainly(name string) string { return strconv.Quote(name) }

// hashed returns a function that replaces names by keyed hashes: without the secret, guesses cannot be tried.
func hashed(secret []byte) (func(string) string, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "names in a selfcheck", sha256.Size)
	return func(name string) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(name))
		return "#" + hex.EncodeToString(mac.Sum(nil)[:5])
	}, err
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// technical has the placeholders of messages whose values are not names from the server.
var technical = map[string]bool{"SQLState": true, "Engine": true, "View": true, "Version": true, "Number": true}

// explain returns the message of an error in English, its names shown by name, with the server's code but without the
// server's text, which may contain an address.
func explain(err error, name func(string) string) string {
	e := *models.AsError(err)
	e.Args = maps.Clone(e.Args)
	for key, value := range e.Args {
		if text, ok := value.(string); ok && !technical[key] {
			e.Args[key] = name(text)
		}
	}
	var text strings.Builder
	text.WriteString(views.Failed(views.English, &e))
	if e.Reason != "" {
		text.WriteString(". " + views.Advice(views.English, &e))
	}
	for _, code := range []string{"sqlstate", "error_number", "sqlite_code"} {
		if value, ok := e.Extra[code]; ok {
			fmt.Fprintf(&text, " (%s %v)", code, value)
		}
	}
	if e.Grant != "" {
		text.WriteString(missing(e.Grant))
	}
	return text.String()
}
