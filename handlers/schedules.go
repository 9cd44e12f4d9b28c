package handlers

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// scheduleJSON is the schedule of an instance and the result of its last scheduled collection.
type scheduleJSON struct {
	Enabled       bool                   `json:"enabled"`
	Cron          *string                `json:"cron"`
	Timezone      *string                `json:"timezone"`
	JitterMinutes *int64                 `json:"jitter_minutes"`
	Blackout      *string                `json:"blackout"`
	NextRunAt     *string                `json:"next_run_at"`
	LastRunAt     *string                `json:"last_run_at"`
	LastStatus    *models.ScheduleStatus `json:"last_status"`
	Failures      int64                  `json:"failures"`
	PausedAt      *string                `json:"paused_at"`
}

func newScheduleJSON(s models.Schedule) scheduleJSON {
	out := scheduleJSON{
		Enabled:       s.Enabled,
		Cron:          orNull(s.Cron),
		Timezone:      orNull(s.Zone),
		JitterMinutes: s.JitterMinutes,
		Blackout:      orNull(s.Blackout),
		NextRunAt:     timestampOrNull(s.NextAt),
		LastRunAt:     timestampOrNull(s.LastAt),
		Failures:      s.Failures,
		PausedAt:      timestampOrNull(s.PausedAt),
	}
	if s.LastStatus != models.RoundNone {
		out.LastStatus = &s.LastStatus
	}
	return out
}

// scheduleOf returns the stored schedule of an instance, the default for a new one (ID 0).
func (h *handlers) scheduleOf(c echo.Context, id int64) (models.ScheduleEdit, error) {
	if id == 0 {
		return models.AlwaysOn, nil
	}
	s, err := h.Store.Schedule(c.Request().Context(), id)
	return s.ScheduleEdit, err
}

// bindSchedule reads schedule, in forms the fields "schedule.<name>". Absent members do not change. It returns nil if
// there is nothing to change.
func (h *handlers) bindSchedule(c echo.Context, f fields, id int64) (*models.ScheduleEdit, error) {
	form := !isAPI(c)
	members, given, err := scheduleMembers(f, form)
	if err != nil || !given {
		return nil, err
	}
	edit, err := h.scheduleOf(c, id)
	if err != nil {
		return nil, err
	}
	if err := members.bindBool("enabled", form, &edit.Enabled); err != nil {
		return nil, err
	}
	if err := bindPlan(members, &edit); err != nil {
		return nil, err
	}
	_, err = h.Store.NextOf(id, edit, h.now())
	return &edit, err
}

func scheduleMembers(f fields, form bool) (members fields, given bool, err error) {
	if !form {
		object, isObject := f["schedule"].(map[string]any)
		if f.given("schedule") && !isObject {
			err = models.Invalid("schedule.not_object")
		}
		return object, isObject, err
	}
	members = fields{}
	for name, value := range f {
		if member, is := strings.CutPrefix(name, "schedule."); is {
			members[member] = value
		}
	}
	return members, len(members) > 0, nil
}

// bindPlan reads when to collect. Null and empty texts stand for the default.
func bindPlan(f fields, edit *models.ScheduleEdit) error {
	for _, member := range []struct {
		name   string
		target *string
	}{{"cron", &edit.Cron}, {"timezone", &edit.Zone}, {"blackout", &edit.Blackout}} {
		text, _, err := f.text(member.name)
		if err != nil {
			return err
		}
		if _, there := f[member.name]; there {
			*member.target = strings.Join(strings.Fields(text), " ")
		}
	}

	value, there := f["jitter_minutes"]
	switch n, ok := integer(value); {
	case !there:
	case value == nil || value == "":
		edit.JitterMinutes = nil
	case !ok:
		return models.Invalid("schedule.jitter_not_integer")
	default:
		edit.JitterMinutes = &n
	}
	return nil
}

func (h *handlers) apiResumeSchedule(c echo.Context) error {
	instance, resumed, err := h.resumeSchedule(c)
	if err != nil {
		return err
	}
	key := "api.schedule_resumed"
	if !resumed {
		key = "api.schedule_not_paused"
	}
	return h.answerInstance(c, http.StatusOK, instance, key)
}

// resumeSchedule resumes the schedule of an instance and reports whether it was paused.
func (h *handlers) resumeSchedule(c echo.Context) (models.Instance, bool, error) {
	instance, err := h.instanceOf(c)
	auditTarget(c, instance.ID, instance.Name)
	if err != nil {
		return instance, false, err
	}
	resumed, err := h.Store.ResumeSchedule(c.Request().Context(), instance.ID)
	return instance, resumed, err
}

func (h *handlers) submitResumeSchedule(c echo.Context) error {
	instance, _, err := h.resumeSchedule(c)
	if err != nil {
		return err
	}
	return h.answerChanged(c, inventoryChanged, views.InstancePath(instance.ID),
		h.page(c).T("notice.schedule_resumed", "Name", instance.Name))
}

// schedulePreview describes the schedule in the form while it is being typed.
func (h *handlers) schedulePreview(c echo.Context) error {
	f, id := fields{}, int64(0)
	for name, values := range c.QueryParams() {
		f[name] = values[len(values)-1]
	}
	if n, ok := integer(c.QueryParam("instance")); ok {
		id = n
	}
	members, _, err := scheduleMembers(f, true)
	if err != nil {
		return err
	}
	edit := models.AlwaysOn
	if err := bindPlan(members, &edit); err != nil {
		return err
	}
	p := h.page(c)
	return h.fragment(c, http.StatusOK, views.ScheduleEcho(p, h.describePlan(p, id, edit)))
}

// describePlan returns the plan and the next run of an edit for an instance.
func (h *handlers) describePlan(p views.Page, id int64, edit models.ScheduleEdit) views.PlanInWords {
	plan, err := h.Store.Plan(edit)
	words := views.PlanInWords{Plan: plan}
	if err == nil {
		words.Next, err = h.Store.NextOf(id, edit, p.Now)
	}
	if err != nil {
		words.Problem = views.Failed(p.Lang, models.AsError(err))
	}
	return words
}

// scheduleForm returns the form filled with a schedule.
func scheduleForm(e models.ScheduleEdit) views.ScheduleForm {
	form := views.ScheduleForm{Enabled: e.Enabled, Cron: e.Cron, Zone: e.Zone, Blackout: e.Blackout}
	if e.JitterMinutes != nil {
		form.Jitter = strconv.FormatInt(*e.JitterMinutes, 10)
	}
	return form
}

// bindScheduleForm fills the form with what was typed.
func bindScheduleForm(f fields, form *views.ScheduleForm) {
	members, _, err := scheduleMembers(f, true)
	if err != nil {
		return
	}
	for name, value := range map[string]*string{
		"cron": &form.Cron, "timezone": &form.Zone, "blackout": &form.Blackout, "jitter_minutes": &form.Jitter,
	} {
		bindTyped(members, name, value)
	}
	// An unreadable value leaves the form unchanged; binding reports it.
	_ = members.bindBool("enabled", true, &form.Enabled)
}

// describeForm adds to the form what its schedule means.
func (h *handlers) describeForm(p views.Page, id int64, form *views.ScheduleForm) {
	form.InstanceID = id
	form.Default = h.describePlan(p, id, models.AlwaysOn).Plan
	edit := models.AlwaysOn
	members := fields{"cron": form.Cron, "timezone": form.Zone, "blackout": form.Blackout, "jitter_minutes": form.Jitter}
	if err := bindPlan(members, &edit); err != nil {
		form.Words.Problem = views.Failed(p.Lang, models.AsError(err))
		return
	}
	form.Words = h.describePlan(p, id, edit)
}

// scheduleShown returns the schedule of an instance for its page.
func (h *handlers) scheduleShown(c echo.Context, i models.Instance) (views.InstanceSchedule, error) {
	ctx := c.Request().Context()
	s, err := h.Store.Schedule(ctx, i.ID)
	if err != nil {
		return views.InstanceSchedule{}, err
	}
	p := h.page(c)
	out := views.InstanceSchedule{Schedule: s, Words: h.describePlan(p, i.ID, s.ScheduleEdit)}
	if s.PausedAt == nil || s.LastRunID == nil {
		return out, nil
	}
	run, err := h.Store.Run(ctx, *s.LastRunID)
	if models.Is(err, models.CodeNotFound) {
		return out, nil
	}
	if cause := s.PauseReason(run.Failure); err == nil && cause != nil {
		e := classify(cause)
		reason := failure(c, p, e, kinds[e.Code], "")
		reason.Number = views.ErrorNumber(p.Lang, i.DBType, e)
		out.Reason = &reason
	}
	return out, err
}
