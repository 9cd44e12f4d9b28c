package handlers_test

import (
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"whalefall/models"
)

// verdict is what the contract says about a code.
type verdict struct {
	status             int
	category, severity string
}

// verdicts is the error table of the contract. An unknown path has the same code as a wrong method, but 404.
var verdicts = map[models.Code]verdict{
	models.CodeInvalid:            {400, "validation", "low"},
	models.CodePasswordMismatch:   {400, "validation", "low"},
	models.CodePasswordDuplicated: {400, "validation", "low"},
	models.CodePasswordInvalid:    {400, "validation", "low"},
	models.CodeTooLarge:           {413, "validation", "low"},
	models.CodeUnsupportedMedia:   {415, "validation", "low"},
	models.CodeUnauthenticated:    {401, "authentication", "medium"},
	models.CodeInvalidCredentials: {401, "authentication", "medium"},
	models.CodeInvalidOldPassword: {401, "authentication", "medium"},
	models.CodeAccountDisabled:    {403, "authorization", "medium"},
	models.CodeForbidden:          {403, "authorization", "medium"},
	models.CodePasswordChange:     {403, "authorization", "medium"},
	models.CodeCSRFMissing:        {403, "security", "medium"},
	models.CodeCSRFInvalid:        {403, "security", "medium"},
	models.CodeNotFound:           {404, "business", "low"},
	models.CodeInvalidRequest:     {404, "business", "medium"},
	models.CodeConflict:           {409, "business", "medium"},
	models.CodeUsernameExists:     {409, "business", "medium"},
	models.CodeLastAdmin:          {409, "business", "medium"},
	models.CodeEmptyRequest:       {400, "validation", "low"},
	models.CodeTagInUse:           {409, "business", "medium"},
	models.CodeUnreachable:        {409, "external", "medium"},
	models.CodeCollection:         {409, "external", "medium"},
	models.CodeRateLimited:        {429, "security", "medium"},
	models.CodeTimeout:            {504, "external", "medium"},
}

var suggestions = map[string]string{
	"validation": "检查输入数据, 根据提示修正请求参数", "business": "确认业务规则, 联系管理员核对数据", "authentication": "重新登录, 验证凭据有效性",
	"authorization": "检查权限配置, 联系管理员", "security": "稍后重试, 联系管理员", "external": "确认第三方服务状态, 稍后重试", "system": "联系管理员, 查看错误日志",
}

var hexID = regexp.MustCompile(`^[0-9a-f]{32}$`)

func (r *response) isJSON() bool {
	kind, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	return kind == "application/json"
}

// isEnvelope reports whether the answer has an envelope of the contract; documents have none.
func (r *response) isEnvelope() bool { return r.isJSON() && r.body["openapi"] == nil }

// examine checks what holds for every answer of the API.
func examine(r *response) {
	r.Helper()
	if r.status >= 500 && r.status != http.StatusGatewayTimeout {
		r.Errorf("%s: our fault: %d %.600s", r.what, r.status, r.raw)
	}
	examineHeaders(r)
	examineSecrets(r)
	switch {
	case strings.HasPrefix(r.what, "HEAD "), r.status == http.StatusNotModified:
		equal(r, r.what+": body", r.raw, "")
	case r.status >= 400 && !r.isEnvelope():
		r.Errorf("%s: %d without an envelope: %.300s", r.what, r.status, r.raw)
	case r.status >= 400:
		examineFailure(r)
	case r.isEnvelope():
		examineSuccess(r)
	}
}

func examineHeaders(r *response) {
	r.Helper()
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		"Cross-Origin-Opener-Policy": "same-origin",
	} {
		equal(r, r.what+": "+name, r.header.Get(name), want)
	}
	if !hexID.MatchString(r.header.Get("X-Request-ID")) ||
		!strings.Contains(r.header.Get("Content-Security-Policy"), "default-src 'none'") {
		r.Errorf("%s: headers %v", r.what, r.header)
	}
	// Only answers with an ETag may be cached, and must be revalidated.
	cache := r.header.Get("Cache-Control")
	if cache != "no-store" && (r.header.Get("ETag") == "" || !strings.Contains(cache, "no-cache") || r.status >= 400) {
		r.Errorf("%s: Cache-Control %q", r.what, cache)
	}
	read := strings.HasPrefix(r.what, "GET ") || strings.HasPrefix(r.what, "HEAD ")
	mayHaveCookie := strings.Contains(r.what, " /api/v1/auth/csrf-token") ||
		strings.Contains(r.what, " /api/v1/auth/session")
	if cookie := r.header.Get("Set-Cookie"); cookie != "" &&
		(r.client.header.Get("Authorization") != "" || read && !mayHaveCookie) {
		r.Errorf("%s: Set-Cookie %s", r.what, cookie)
	}
}

func examineEnvelope(r *response, success bool, allowed string) {
	r.Helper()
	for name := range r.body {
		if !slices.Contains(strings.Fields(allowed), name) {
			r.Errorf("%s: a member %s beside the contract's: %.600s", r.what, name, r.raw)
		}
	}
	equal(r, r.what+": success", r.body["success"], any(success))
	equal(r, r.what+": error", r.body["error"], any(!success))
	if message, _ := r.body["message"].(string); message == "" {
		r.Errorf("%s: no message: %.600s", r.what, r.raw)
	}
	r.checkTimestamp(r.body["timestamp"])
	examineTimes(r, r.body)
}

var (
	isTime    = regexp.MustCompile(`^\d{4}-\d\d-\d\d[T ]\d\d:`)
	rightTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$`)
)

// examineTimes expects every time in the answer to be written the same way.
func examineTimes(r *response, v any) {
	r.Helper()
	switch v := v.(type) {
	case string:
		if isTime.MatchString(v) && !rightTime.MatchString(v) {
			r.Errorf("%s: time %q", r.what, v)
		}
	case []any:
		for _, one := range v {
			examineTimes(r, one)
		}
	case obj:
		for _, one := range v {
			examineTimes(r, one)
		}
	}
}

func examineSuccess(r *response) {
	r.Helper()
	examineEnvelope(r, true, "success error message timestamp data")
	if data, there := r.body["data"]; there && r.data == nil {
		r.Errorf("%s: data is %v", r.what, data)
	}
}

func examineFailure(r *response) {
	r.Helper()
	examineEnvelope(r, false,
		"success error error_id category severity message_code message timestamp recoverable suggestions context extra")
	code, _ := r.body["message_code"].(string)
	want, known := verdicts[models.Code(code)]
	if code == string(models.CodeInvalidRequest) && r.header.Get("Allow") != "" {
		want.status = http.StatusMethodNotAllowed
	}
	got := verdict{status: r.status}
	got.category, _ = r.body["category"].(string)
	got.severity, _ = r.body["severity"].(string)
	if !known || got != want {
		r.Errorf("%s: %v of code %q\nwant %v: %.600s", r.what, got, code, want, r.raw)
	}
	equal(r, r.what+": recoverable", r.body["recoverable"], any(true))
	if id, _ := r.body["error_id"].(string); !hexID.MatchString(id) {
		r.Errorf("%s: error_id %q", r.what, id)
	}
	if said := plain(r.body["suggestions"]); said != plain(strings.Split(suggestions[got.category], ", ")) &&
		!r.isEnglish() {
		r.Errorf("%s: suggestions %s", r.what, said)
	}
	where, _ := r.body["context"].(obj)
	inContext := "method request_id url user_id"
	if code == string(models.CodeTagInUse) {
		inContext = "instance_count method request_id tag_id url user_id"
	}
	equal(r, r.what+": context", members(where), inContext)
	equal(r, r.what+": request_id", where["request_id"], any(r.header.Get("X-Request-ID")))
	method, _, _ := strings.Cut(r.what, " ")
	equal(r, r.what+": method", where["method"], any(method))
	if extra, there := r.body["extra"]; there && len(extra.(obj)) == 0 {
		r.Errorf("%s: an empty extra", r.what)
	}
}

func (r *response) isEnglish() bool {
	message, _ := r.body["message"].(string)
	return !strings.ContainsFunc(message, func(c rune) bool { return unicode.Is(unicode.Han, c) })
}

// leaks must not appear in any answer: password hashes and internals of the program.
var leaks = []string{"$2a$", "$2b$", "$2y$", "goroutine ", ".go:", "SQLSTATE", "runtime error", "gorm", "panic"}

// login matches an address with user name and password.
var login = regexp.MustCompile(`://[^/ "]*:[^/ "]*@`)

// examineSecrets checks that the answer contains no secret. Only the answer that creates a token may contain its
// secret.
func examineSecrets(r *response) {
	r.Helper()
	if r.body["openapi"] != nil {
		return
	}
	secrets := slices.Clone(leaks)
	if strings.Contains(r.raw, "://") && login.MatchString(r.raw) {
		r.Errorf("%s: tells an address with a password: %.600s", r.what, r.raw)
	}
	secrets = append(secrets, password, targetSecret)
	if base, err := url.Parse(r.url); err == nil && r.client.http.Jar != nil {
		for _, cookie := range r.client.http.Jar.Cookies(base) {
			if cookie.Name == "whalefall_session" {
				secrets = append(secrets, cookie.Value)
			}
		}
	}
	newToken := strings.HasPrefix(r.what, "POST /api/v1/tokens") && r.status == http.StatusCreated
	if !newToken {
		secrets = append(secrets, models.TokenPrefix)
	}
	for _, secret := range secrets {
		if strings.Contains(r.raw, secret) {
			r.Errorf("%s: tells %q: %.600s", r.what, secret, r.raw)
		}
	}
	if r.isEnvelope() && !newToken {
		examineMembers(r, r.data)
	}
}

// targetSecret is the password of all credentials in the contract's tests.
const targetSecret = "S3cret of a target"

var secretName = regexp.MustCompile(`(?i)password|hash|digest|secret`)

// examineMembers looks for members named like secrets. A password must be the mask; what is true or false is none.
func examineMembers(r *response, v any) {
	r.Helper()
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			examineMembers(r, one)
		}
	case obj:
		for name, value := range v {
			if _, isFlag := value.(bool); secretName.MatchString(name) && value != "******" && !isFlag {
				r.Errorf("%s: a member %s: %.600s", r.what, name, r.raw)
			}
			examineMembers(r, value)
		}
	}
}

// inBothLanguages checks that two answers to the same request differ only in their messages.
func inBothLanguages(t testing.TB, chinese, english *response) {
	t.Helper()
	equal(t, chinese.what+" in English: status", english.status, chinese.status)
	equal(t, chinese.what+" in English", plain(wordless(english.body)), plain(wordless(chinese.body)))
	if chinese.isEnglish() || !english.isEnglish() {
		t.Errorf("%s: the languages are mixed up: %v, %v", chinese.what, chinese.body["message"], english.body["message"])
	}
	han := func(c rune) bool { return unicode.Is(unicode.Han, c) }
	if said := plain(english.body["suggestions"]); strings.ContainsFunc(said, han) {
		t.Errorf("%s: suggestions in English: %s", chinese.what, said)
	}
}

// wordless returns a body without messages and without members that always differ.
func wordless(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = wordless(v[i])
		}
		return out
	case obj:
		out := maps.Clone(v)
		for name, value := range v {
			switch name {
			case "message", "suggestions", "advice", "timestamp", "error_id", "request_id", "csrf_token", "elapsed_ms",
				"last_used_at", "uptime", "version_stats", "color_name", "label", "categories", "category_names":
				out[name] = "…"
			default:
				out[name] = wordless(value)
			}
		}
		return out
	}
	return v
}

func members(o obj) string { return strings.Join(slices.Sorted(maps.Keys(o)), " ") }

// checkTimestamp checks that the value is the time of the server, in UTC.
func (a *app) checkTimestamp(v any) {
	a.Helper()
	text, _ := v.(string)
	at, err := time.Parse("2006-01-02T15:04:05.000000+00:00", text)
	if err != nil || a.now().Sub(at).Abs() > time.Minute || len(text) != len("2006-01-02T15:04:05.000000+00:00") {
		a.Errorf("timestamp %q is not now in UTC with offset and microseconds", text)
	}
}
