package handlers_test

import (
	"testing"

	"whalefall/models"
)

func TestSchedules(t *testing.T) {
	onBothStores(t, func(a *app) {
		server := obj{"name": "scheduled", "db_type": "pg", "host": "h", "port": 1}
		a.admin.post("/instances", server).
			want(201, "实例创建成功").
			wantAt("instance.schedule.enabled", true, "instance.schedule.cron", nil,
				"instance.schedule.timezone", nil, "instance.schedule.jitter_minutes", nil, "instance.schedule.blackout", nil,
				"instance.schedule.last_status", nil, "instance.schedule.failures", 0, "instance.schedule.paused_at", nil)
		server["schedule"] = obj{
			"cron":           "30  4 * * 1-5 ",
			"timezone":       "America/New_York",
			"jitter_minutes": 0,
			"blackout":       "09:00-12:00",
			"next_run_at":    "x",
			"nonsense":       1,
		}
		changed := a.admin.put("/instances/1", server).want(200, "实例更新成功").wantAt("instance.schedule.cron", "30 4 * * 1-5",
			"instance.schedule.timezone", "America/New_York", "instance.schedule.jitter_minutes", 0,
			"instance.schedule.blackout", "09:00-12:00")
		if changed.at("instance", "schedule", "next_run_at") == nil {
			a.Error("there is no next time")
		}
		server["schedule"] = obj{"enabled": false, "blackout": nil}
		a.admin.put("/instances/1", server).want(200, "实例更新成功").wantAt("instance.schedule.cron", "30 4 * * 1-5",
			"instance.schedule.blackout", nil, "instance.schedule.enabled", false, "instance.schedule.next_run_at", nil)
		delete(server, "schedule")
		a.admin.put("/instances/1", server).want(200, "实例更新成功").wantAt("instance.schedule.enabled", false)
		server["schedule"] = obj{"cron": "* * * * *"}
		a.admin.put("/instances/1", server).wantCode(400, models.CodeInvalid, "Cron 表达式过于频繁，两次采集至少间隔 5 分钟")
		server["schedule"] = obj{"enabled": true, "cron": ""}
		a.admin.put("/instances/1", server).want(200, "实例更新成功").wantAt("instance.schedule.cron", nil)

		ctx := a.Context()
		for days := range 100 {
			now := a.store.Now().AddDate(0, 0, 2*days)
			s, err := a.store.Schedule(ctx, 1)
			check(a, err)
			if s.PausedAt != nil {
				break
			}
			check(a, a.store.PlanSchedules(ctx, now))
			_, _, err = a.store.ClaimDue(ctx, now, 10)
			check(a, err)
			err = a.store.ScheduleOutcome(ctx,
				models.Run{InstanceID: 1, Kind: models.RunDatabases, Progress: models.Progress{Status: models.RunFailed}})
			check(a, err)
		}
		a.guest.get("/instances/1").
			wantAt("instance.schedule.failures", 5, "instance.schedule.last_status", "failed",
				"instance.schedule.next_run_at", nil)
		a.user.post("/instances/1/actions/resume-schedule", nil).wantCode(403, models.CodeForbidden, "需要 update 权限")
		a.admin.post("/instances/1/actions/resume-schedule", nil).
			want(200, "采集计划已恢复").
			wantAt("instance.schedule.paused_at", nil)
		a.admin.post("/instances/1/actions/resume-schedule", nil).want(200, "采集计划未暂停，无需恢复")
		a.admin.post("/instances/4711/actions/resume-schedule", nil).wantCode(404, models.CodeNotFound, "实例不存在")
	})
}
