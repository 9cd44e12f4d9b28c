package handlers_test

import (
	"database/sql"
	"fmt"
	"hash/fnv"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"whalefall/models"
)

// scene is a store with one of everything, for which every route has a right request.
type scene struct {
	*app
	db           *sql.DB // connection to the store's database
	postgres     bool    // whether the store is PostgreSQL
	identities   []identity
	adminID      int64
	file         string // path of the instance
	instance     int64  // an instance that was synced and refreshed
	database     int64
	down         int64 // an instance whose file is missing
	downDatabase int64
	credential   int64
	serial       int
	translated   map[string]bool // messages compared in both languages
}

// identity is a way to send requests: with a session, with a token, or as nobody.
type identity struct {
	name    string
	role    models.Role // empty: nobody
	id      int64
	client  *client
	token   bool
	refused bool // the token is invalid
	due     bool // must change the password before anything else
}

func newScene(a *app) *scene {
	a.Helper()
	s := &scene{
		app:        a,
		postgres:   strings.HasPrefix(a.address, "postgres"),
		translated: map[string]bool{},
		file:       a.sqliteFile("CREATE TABLE t (x)"),
	}
	driver := "sqlite"
	if s.postgres {
		driver = "pgx"
	}
	var err error
	s.db, err = sql.Open(driver, a.address)
	check(a, err)
	a.Cleanup(func() { check(a, s.db.Close()) })
	s.instance, s.database = s.collected("files", s.file)
	gone := a.sqliteFile("CREATE TABLE t (x)")
	s.down, s.downDatabase = s.collected("down", gone)
	check(a, os.Remove(gone))
	used, err := a.store.CreateCredential(a.Context(), models.Credential{Name: "used", Username: "u"}, targetSecret)
	check(a, err)
	s.credential = used.ID
	s.newTag("a")
	s.identities = s.everyIdentity()
	s.newToken(s.adminID, "mine")
	return s
}

// collected adds an instance for a file and collects it.
func (s *scene) collected(name, file string) (instance, database int64) {
	s.Helper()
	path := s.sqliteInstance(name, file)
	s.admin.post(path+"/actions/sync-capacity", nil).want(200, fmt.Sprintf(synced, name))
	s.admin.post(tablesPath(path, "main")+"/actions/refresh", nil).want(200, refreshed)
	instance, err := strconv.ParseInt(strings.TrimPrefix(path, "/instances/"), 10, 64)
	check(s, err)
	return instance, s.admin.get(path+"/databases/sizes").id("databases", 0, "database_id")
}

func (s *scene) everyIdentity() []identity {
	s.Helper()
	out := []identity{{name: "nobody", client: s.anonymous}}
	for name, c := range map[string]*client{"guest_1": s.guest, "user_1": s.user, "admin": s.admin} {
		user, err := s.store.UserByName(s.Context(), name)
		check(s, err)
		out = append(
			out,
			identity{name: name, role: user.Role, id: user.ID, client: c},
			identity{
				name:   "token of " + name,
				role:   user.Role,
				id:     user.ID,
				client: s.token(user.ID, user.Role, time.Hour),
				token:  true,
			},
		)
		if user.Role == models.RoleAdmin {
			s.adminID = user.ID
		}
	}
	off := s.somebody(models.RoleAdmin)
	switchedOff := s.token(off.ID, models.RoleAdmin, time.Hour)
	off.IsActive = false
	_, err := s.store.UpdateUser(s.Context(), off, nil)
	check(s, err)
	known := s.somebody(models.RoleAdmin)
	due := s.login(known.Username, password)
	s.mustChangePassword(known)
	beside := *s.admin
	beside.header = http.Header{
		"Authorization": {"Bearer " + models.TokenPrefix + "nobodys"},
		"X-Csrftoken":   s.admin.header["X-Csrftoken"],
	}
	return append(
		out,
		identity{
			name:   "token of an admin for what guests may",
			role:   models.RoleGuest,
			id:     s.adminID,
			client: s.token(s.adminID, models.RoleGuest, time.Hour),
			token:  true,
		},
		identity{name: "admin who must change the password", role: models.RoleAdmin, id: known.ID, client: due, due: true},
		identity{name: "expired token", client: s.token(s.adminID, models.RoleAdmin, -time.Second), refused: true},
		identity{name: "token of a user who is switched off", client: switchedOff, refused: true},
		identity{name: "unknown token", client: s.bearer(models.TokenPrefix + strings.Repeat("x", 43)), refused: true},
		identity{name: "no token", client: s.bearer(""), refused: true},
		identity{name: "not a token", client: s.bearer("é %00"), refused: true},
		identity{name: "admin's session beside a bad token", client: &beside, refused: true},
	)
}

func (s *scene) token(userID int64, role models.Role, life time.Duration) *client {
	s.Helper()
	_, secret, err := s.store.CreateToken(s.Context(),
		models.Token{UserID: userID, Name: s.fresh("token"), Role: role, ExpiresAt: s.now().Add(life)})
	check(s, err)
	return s.bearer(secret)
}

func (s *scene) newToken(userID int64, name string) models.Token {
	s.Helper()
	token, _, err := s.store.CreateToken(s.Context(),
		models.Token{UserID: userID, Name: name, Role: models.RoleGuest, ExpiresAt: s.now().Add(time.Hour)})
	check(s, err)
	return token
}

// newSession starts a session of the user and returns its ID in the list.
func (s *scene) newSession(userID int64) string {
	s.Helper()
	cookie, err := s.store.CreateSession(s.Context(), userID)
	check(s, err)
	sessions, err := s.store.Sessions(s.Context(), userID)
	check(s, err)
	fresh := slices.IndexFunc(sessions, func(one models.Session) bool { return one.HasID(cookie) })
	return sessions[fresh].ID
}

func (s *scene) newTag(name string) int64 {
	s.Helper()
	tag, err := s.store.CreateTag(s.Context(), models.Tag{Name: name, DisplayName: name, Color: "blue"})
	check(s, err)
	return tag.ID
}

func (s *scene) bearer(secret string) *client {
	return &client{app: s.app, http: &http.Client{}, header: http.Header{"Authorization": {"Bearer " + secret}}}
}

// fresh returns an unused name.
func (s *scene) fresh(kind string) string {
	s.serial++
	return fmt.Sprintf("%s_%d", kind, s.serial)
}

// somebody creates a user.
func (s *scene) somebody(role models.Role) models.User {
	s.Helper()
	user, err := s.store.CreateUser(s.Context(),
		models.User{Username: s.fresh("somebody"), Role: role, IsActive: true}, password)
	check(s, err)
	return user
}

func (s *scene) mustChangePassword(user models.User) {
	s.Helper()
	user.MustChangePassword = true
	_, err := s.store.UpdateUser(s.Context(), user, nil)
	check(s, err)
}

// asNew returns a new user with the permissions of the identity.
func (s *scene) asNew(who identity) identity {
	s.Helper()
	if who.role == "" {
		who.client = s.newClient()
		return who
	}
	user := s.somebody(who.role)
	who.id = user.ID
	if who.token {
		who.client = s.token(user.ID, user.Role, time.Hour)
	} else {
		who.client = s.login(user.Username, password)
	}
	if who.due {
		s.mustChangePassword(user)
	}
	return who
}

func (s *scene) newCredential() int64 {
	s.Helper()
	c, err := s.store.CreateCredential(s.Context(),
		models.Credential{Name: s.fresh("credential"), Username: "u"}, targetSecret)
	check(s, err)
	return c.ID
}

// server returns the body of a new instance that is never connected to.
func (s *scene) server() obj {
	return obj{
		"name":      s.fresh("server"),
		"db_type":   "mysql",
		"host":      "db.example",
		"port":      3306,
		"tag_names": []any{"a"},
		"options":   obj{},
		"is_active": true,
	}
}

func (s *scene) newInstance() int64 {
	s.Helper()
	host, port := "db.example", 1
	i, err := s.store.CreateInstance(s.Context(), models.Instance{
		Name:     s.fresh("server"),
		DBType:   models.MySQL,
		Host:     &host,
		Port:     &port,
		IsActive: true,
		TLSMode:  models.TLSPrefer,
		Options:  map[string]string{},
	}, nil, nil)
	check(s, err)
	return i.ID
}

func (s *scene) deletedInstance() int64 {
	s.Helper()
	id := s.newInstance()
	_, err := s.store.DeleteInstance(s.Context(), id)
	check(s, err)
	return id
}

// endedRun creates a finished refresh of the instance requested by the user.
func (s *scene) endedRun(userID int64) int64 {
	s.Helper()
	run, _, err := s.store.RequestRun(s.Context(), models.Run{
		InstanceID:    s.instance,
		DatabaseName:  "main",
		Kind:          models.RunTables,
		RequestedAt:   s.now(),
		Configuration: "of no instance",
		Requester:     models.Requester{UserID: &userID, Username: "x"},
	})
	check(s, err)
	check(s, s.store.RequestCancel(s.Context(), run.ID))
	return run.ID
}

// digest returns a hash of each table of the store, except what it notes about requests.
func (s *scene) digest() map[string]uint64 {
	s.Helper()
	list := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	if s.postgres {
		list = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
	}
	out := map[string]uint64{}
	for _, row := range s.rows(list) {
		name := row[0].(string)
		if slices.Contains([]string{"audit_log", "login_failures", "request_budgets"}, name) {
			continue
		}
		sum := fnv.New64()
		for _, row := range s.rows("SELECT * FROM " + name + " ORDER BY 1, 2") {
			fmt.Fprintln(sum, row...)
		}
		out[name] = sum.Sum64()
	}
	return out
}

// rows returns the result of a query without times of use.
func (s *scene) rows(query string) [][]any {
	s.Helper()
	rows, err := s.db.QueryContext(s.Context(), query)
	check(s, err)
	defer rows.Close()
	columns, err := rows.Columns()
	check(s, err)
	var out [][]any
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		check(s, rows.Scan(into...))
		for i, column := range columns {
			if column == "seen_at" || column == "last_used_at" {
				row[i] = nil
			}
		}
		out = append(out, row)
	}
	check(s, rows.Err())
	return out
}

// unchanged checks that do does not change the store.
func (s *scene) unchanged(e endpoint, do func()) {
	s.Helper()
	before := s.digest()
	do()
	after := s.digest()
	for name := range after {
		if after[name] != before[name] {
			s.Errorf("%s %s: what was refused changed the table %s", e.method, e.path, name)
		}
	}
}

func (e endpoint) writes() bool { return e.method != http.MethodGet }

func (e endpoint) allows(role models.Role) bool { return slices.Contains(roles[e.may], role) }

// comesLater reports whether the user must change the password before the route.
func (e endpoint) comesLater(who identity) bool { return who.due && !e.early && e.may != everybody }

// request returns a right request.
func (s *scene) request(e endpoint, userID int64) call {
	s.Helper()
	at := call{id: s.instance}
	if e.right != nil {
		at = e.right(s, userID)
	}
	return at
}

// address returns the path of the request. An ID of the call replaces the given one.
func (e endpoint) address(at call, id string) string {
	if id == "" {
		id = strconv.FormatInt(at.id, 10)
	}
	path := strings.NewReplacer(":id", id, ":name", "main", ":tag", "a", ":session", at.login).Replace(e.path)
	if at.query != "" {
		path += "?" + at.query
	}
	return path
}

func (s *scene) ask(c *client, e endpoint, at call) *response {
	s.Helper()
	if at.kind != "" {
		c = c.with("Content-Type", at.kind)
	}
	return c.do(e.method, e.address(at, ""), at.body)
}

// refuse checks that the request is refused with the code, is in the audit log if the user is known, and has a message
// in both languages.
func (s *scene) refuse(c *client, e endpoint, at call, code models.Code) *response {
	s.Helper()
	return s.refuseAt(c, e, at, "", code)
}

func (s *scene) refuseAt(c *client, e endpoint, at call, id string, code models.Code) *response {
	s.Helper()
	if at.kind != "" {
		c = c.with("Content-Type", at.kind)
	}
	path := e.address(at, id)
	r := c.do(e.method, path, at.body)
	if r.body["message_code"] != string(code) {
		s.Errorf("%s %.300s\n got %d %.600s\nwant %s", r.what, plain(at.body), r.status, r.raw, code)
		return r
	}
	s.audited(e, r)
	if key := e.method + e.path + r.body["message"].(string); !s.translated[key] {
		s.translated[key] = true
		inBothLanguages(s, r, c.with("Accept-Language", "en").do(e.method, path, at.body))
	}
	return r
}

// audited checks that a write of a known user is the newest audit entry, and that a read has none.
func (s *scene) audited(e endpoint, r *response) {
	s.Helper()
	newest := s.rows("SELECT request_id, status, message_code, method, username, path " +
		"FROM audit_log ORDER BY id DESC LIMIT 1")
	code, _ := r.body["message_code"].(string)
	where, _ := r.body["context"].(obj)
	known := r.status < 400 || where["user_id"] != nil
	if e.path == "/auth/login" { // of these only attempts with a password
		known = r.status < 400 || code == string(models.CodeInvalidCredentials)
	}
	noted := len(newest) == 1 &&
		fmt.Sprint(newest[0][:4]) == fmt.Sprint([]any{r.header.Get("X-Request-ID"), r.status, code, e.method})
	if noted != (known && e.writes() && !e.reads) {
		s.Errorf("%s: %d %q in the audit log: %t; the newest entry is %v", r.what, r.status, code, noted, newest)
	}
}
