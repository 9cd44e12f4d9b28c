package handlers

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// inlineFailures lists the elements that show a failure themselves.
var inlineFailures = []string{"test-result", "login-problem", "form-problem", "import-result", "run-figures"}

const formKey = "form"

// refusedForm returns a form with what was typed and why it was refused.
type refusedForm func(problem *views.Failure) (screen, error)

// redisplay notes the form that a browser without scripts gets back if this write is refused.
func redisplay(c echo.Context, form refusedForm) { c.Set(formKey, form) }

// failHTML shows an error where the person is looking: at the button that failed, in the modal that did not open, in
// the toasts for every other HTMX request, on a page of its own otherwise.
func (h *handlers) failHTML(c echo.Context, e *models.Error, k kind, id string) error {
	p := h.page(c)
	f := failure(c, p, e, k, id)
	f.Number = views.ErrorNumber(p.Lang, h.engineOf(c, e), e)
	c.Response().Header().Set("HX-Push-Url", "false")
	target := c.Request().Header.Get("HX-Target")
	switch {
	case !isHTMX(c) && c.Path() == "/login":
		return h.renderLogin(c, k.status, views.LoginForm{
			Next: localPath(posted(c, "next")), Username: posted(c, "username"), Problem: &f,
		})
	case !isHTMX(c):
		return h.render(c, k.status, p, refusal(c, p, f))
	case target == "modal" && c.Request().Method == http.MethodGet:
		return h.retarget(c, k.status, target, views.FailurePanel(p, f))
	case slices.Contains(inlineFailures, target):
		return h.retarget(c, k.status, target, views.FailureInline(p, f))
	}
	return h.fragment(c, k.status, views.FailureToast(p, f))
}

// refusal returns the noted form, else a page about the failure.
func refusal(c echo.Context, p views.Page, f views.Failure) screen {
	if again, ok := c.Get(formKey).(refusedForm); ok {
		if form, err := again(&f); err == nil {
			return form
		}
	}
	return screen{title: f.Message, body: views.FailurePage(p, f)}
}

// engineOf returns the engine that an error of a monitored server is about, "" if that is unknown.
func (h *handlers) engineOf(c echo.Context, e *models.Error) models.Engine {
	if id := e.InstanceID; id != 0 {
		if instance, err := h.Store.InstanceIncludingDeleted(c.Request().Context(), id); err == nil {
			return instance.DBType
		}
	}
	engine, _ := models.ParseEngine(posted(c, "db_type"))
	return engine
}

// retarget answers an HTMX request with markup for another element than it asked for.
func (h *handlers) retarget(c echo.Context, status int, target string, body templ.Component) error {
	c.Response().Header().Set("HX-Retarget", "#"+target)
	c.Response().Header().Set("HX-Reswap", "innerHTML")
	return h.fragment(c, status, body)
}

// fragment answers with markup that is not part of a screen.
func (h *handlers) fragment(c echo.Context, status int, body templ.Component) error {
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(status)
	return body.Render(c.Request().Context(), c.Response())
}

// adviceOf maps codes to better advice than the contract's suggestions for a whole category. An empty value means that
// the message is enough.
var adviceOf = map[models.Code]string{
	models.CodeInvalid:            "",
	models.CodeConflict:           "",
	models.CodeUsernameExists:     "",
	models.CodeLastAdmin:          "",
	models.CodePasswordInvalid:    "",
	models.CodePasswordMismatch:   "",
	models.CodePasswordDuplicated: "",
	models.CodeInvalidOldPassword: "",
	models.CodeInvalidCredentials: "",
	models.CodeNotFound:           "advice.not_found",
	models.CodeInvalidRequest:     "advice.no_page",
	models.CodeMethodNotAllowed:   "advice.no_page",
	models.CodeCSRFMissing:        "advice.reload",
	models.CodeCSRFInvalid:        "advice.reload",
	models.CodeForbidden:          "advice.forbidden",
	models.CodeUnreachable:        "advice.unreachable",
	models.CodeTimeout:            "advice.timeout",
	models.CodeCollection:         "advice.collection",
	models.CodeInternal:           "advice.internal",
}

// advice returns what the person can do next, from the error itself or else its code.
func advice(p views.Page, e *models.Error, k kind) []string {
	if e.Reason != "" {
		return []string{views.Advice(p.Lang, e)}
	}
	if e.RetryAfter != 0 {
		return []string{p.T("login.wait", "Seconds", int(e.RetryAfter.Seconds()))}
	}
	key, known := adviceOf[e.Code]
	switch {
	case e.Code == models.CodeCollection && e.InstanceID == 0:
		return nil // a server tested before it is saved has no stored data
	case !known:
		s := suggestions(p.Lang, k.category)
		return s[:]
	case key == "":
		return nil
	}
	return []string{p.T(key)}
}

// labelOf maps members to the labels that pages have for them, everywhere or in one section ("users.role").
var labelOf = map[string]string{
	"name": "instance.name", "db_type": "instances.type", "host": "instance.host", "port": "instance.port",
	"database_name": "instance.database", "credential_id": "instance.credential", "username": "instance.username",
	"password": "instance.password", passwordAgain: "instance.password_again", "tls_mode": "instance.tls",
	"options." + models.OptionCACertificate: "instance.ca",
	"options." + models.OptionSID:           "instance.sid", "options." + models.OptionWallet: "instance.wallet",
	"tag_names": "instance.tags", "description": "instance.description", "is_active": "instances.status",
	"credentials.name": "credential.name", "credentials.db_type": "credential.type", "users.role": "users.role",
	"tags.name": "tags.name", "display_name": "tags.display_name", "color": "tags.color",
	"tokens.name": "tokens.name", "tokens.role": "users.role", "tokens.expires_at": "tokens.expires_on",
}

// inPageTerms returns the error with members and permissions named as the pages name them.
func inPageTerms(c echo.Context, p views.Page, e *models.Error) *models.Error {
	out := *e
	out.Args = maps.Clone(e.Args)
	for _, arg := range []string{"Field", "Fields"} {
		if names, ok := e.Args[arg].(string); ok {
			out.Args[arg] = labels(c, p, names)
		}
	}
	if e.Code == models.CodeForbidden && e.Args["Permission"] != nil {
		out.Args["Permission"] = p.T("may." + e.Args["Permission"].(string))
	}
	return &out
}

func labels(c echo.Context, p views.Page, names string) string {
	all := strings.Split(names, ", ")
	engine, _ := models.ParseEngine(posted(c, "db_type"))
	section, _, _ := strings.Cut(strings.TrimPrefix(c.Path(), "/"), "/")
	for i, name := range all {
		if key := cmp.Or(labelOf[section+"."+name], labelOf[name]); key != "" {
			all[i] = p.In(engine, key)
		}
	}
	return strings.Join(all, p.T("list.separator"))
}

// failure returns what a page shows of an error. It offers a retry where that may help.
func failure(c echo.Context, p views.Page, e *models.Error, k kind, id string) views.Failure {
	f := views.Failure{
		Status:  k.status,
		Message: views.Failed(p.Lang, inPageTerms(c, p, e)),
		Advice:  advice(p, e, k),
		ID:      id,
	}
	f.Grant = e.Grant
	if readerOf(c).manages {
		f.ServerText = e.ServerText
	}
	hopeless := []int{http.StatusBadRequest, http.StatusNotFound, http.StatusForbidden, http.StatusMethodNotAllowed}
	if c.Request().Method == http.MethodGet && !slices.Contains(hopeless, k.status) {
		f.Retry = c.Request().URL.RequestURI()
	}
	return f
}
