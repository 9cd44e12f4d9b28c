package models_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"whalefall/models"
)

// hostile are names that must come back byte for byte and mean nothing to SQL.
var hostile = []string{
	`a"b`, "<script>alert(1)</script>", `x'; DROP TABLE y; --`, "100%_", "a/b", "Case", "case", "?", "@name", `back\slash`,
	"new\nline", "tab\t", " lead", "trail ", strings.Repeat("鲸", 21), strings.Repeat("n", 128),
	"😀", `{"json":[1]}`, "%s", "..",
}

func pointer[T any](v T) *T { return &v }

func (f *fixture) instance(name string) models.Instance {
	f.Helper()
	instance, err := f.CreateInstance(f.ctx, models.Instance{
		Name: name, DBType: models.PostgreSQL, Host: pointer("db.example.org"), Port: pointer(5432),
		IsActive: true, TLSMode: models.TLSPrefer,
	}, nil, nil)
	check(f, err)
	return instance
}

func TestStore_Credentials(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		secret := "ü'\"\x00%\n " + strings.Repeat("x", 500)
		created, err := f.CreateCredential(f.ctx,
			models.Credential{Name: "c", DBType: models.MySQL, Username: "root"}, secret)
		check(f, err)
		equal(f, "type", created.CredentialType, "database")
		stored, err := f.Credential(f.ctx, created.ID)
		check(f, err)
		plain, err := f.Password(stored)
		check(f, err)
		equal(f, "password", plain, secret)
		if strings.Contains(string(stored.Secret), "xxx") {
			f.Error("the password is stored as it is")
		}

		_, err = f.CreateCredential(f.ctx, models.Credential{Name: "c"}, "")
		wantError(f, err, models.CodeConflict, "credential.name_taken")
		_, err = f.CreateCredential(f.ctx, models.Credential{Name: "a\x00"}, "")
		wantError(f, err, models.CodeInvalid, "text.not_storable")
		other, err := f.CreateCredential(f.ctx, models.Credential{Name: "d"}, "")
		check(f, err)
		moved := stored
		moved.ID = other.ID
		_, err = f.Password(moved)
		wantError(f, err, models.CodeInternal, "")

		other.Name = "c"
		_, err = f.UpdateCredential(f.ctx, other, nil)
		wantError(f, err, models.CodeConflict, "credential.name_taken")
		stored.Name, stored.Username = "renamed", "app"
		kept, err := f.UpdateCredential(f.ctx, stored, nil)
		check(f, err)
		plain, err = f.Password(kept)
		check(f, err)
		equal(f, "kept password", plain, secret)
		changed, err := f.UpdateCredential(f.ctx, stored, pointer(""))
		check(f, err)
		plain, err = f.Password(changed)
		check(f, err)
		equal(f, "changed password", plain, "")

		all, err := f.Credentials(f.ctx)
		check(f, err)
		equal(f, "by name", all[0].Name+all[1].Name, "drenamed")
		check(f, f.DeleteCredential(f.ctx, other.ID))
		wantError(f, f.DeleteCredential(f.ctx, other.ID), models.CodeNotFound, "credential.not_found")
		_, err = f.UpdateCredential(f.ctx, other, nil)
		wantError(f, err, models.CodeNotFound, "credential.not_found")
	})
}

func TestStore_DeleteCredential_InUse(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		made := models.TypedLogin{Username: "u", Password: "p"}
		first, err := f.CreateInstance(f.ctx, models.Instance{Name: "n"}, nil, &made)
		check(f, err)
		equal(f, "name", first.Credential.Name, "n")
		_, err = f.DeleteInstance(f.ctx, first.ID)
		check(f, err)
		wantError(f, f.DeleteCredential(f.ctx, first.Credential.ID), models.CodeConflict, "credential.in_use")

		second, err := f.CreateInstance(f.ctx, models.Instance{Name: "n"}, nil, &made)
		check(f, err)
		equal(f, "free name", second.Credential.Name, "n-2")

		_, err = f.CreateInstance(f.ctx, models.Instance{Name: "m", CredentialID: pointer(int64(4711))}, nil, nil)
		wantError(f, err, models.CodeInvalid, "instance.credential_missing")
		second.CredentialID = pointer(int64(4711))
		_, err = f.UpdateInstance(f.ctx, second, nil, nil)
		wantError(f, err, models.CodeInvalid, "instance.credential_missing")
	})
}

func TestStore_UpdateInstance(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		created, err := f.CreateInstance(f.ctx, models.Instance{
			Name: "prod", DBType: models.PostgreSQL, Host: pointer("h"), Port: pointer(1), IsActive: true,
			TLSMode: models.TLSRequire, Options: map[string]string{"sid": "a'b"}, Description: "d",
		}, []string{"b", "a", "b"}, nil)
		check(f, err)
		equal(f, "tags", len(created.Tags), 2)
		equal(f, "tag", created.Tags[0], models.Tag{ID: created.Tags[0].ID, Name: "a", DisplayName: "a", Color: "gray"})
		equal(f, "option", created.Options["sid"], "a'b")
		equal(f, "created", created.CreatedAt, start)

		_, err = f.CreateInstance(f.ctx, models.Instance{Name: "prod"}, nil, nil)
		wantError(f, err, models.CodeConflict, "instance.name_taken")

		f.clock.add(time.Hour)
		edited := created
		edited.Name, edited.Host, edited.Port, edited.IsActive = "renamed", nil, nil, false
		edited, err = f.UpdateInstance(f.ctx, edited, nil, nil)
		check(f, err)
		equal(f, "name", edited.Name, "renamed")
		equal(f, "host", edited.Host, nil)
		equal(f, "active", edited.IsActive, false)
		equal(f, "tags kept", len(edited.Tags), 2)
		equal(f, "updated", edited.UpdatedAt, start.Add(time.Hour))
		equal(f, "created", edited.CreatedAt, start)
		edited, err = f.UpdateInstance(f.ctx, edited, &[]string{"c"}, &models.TypedLogin{Username: "u", Password: "p"})
		check(f, err)
		equal(f, "tags", len(edited.Tags), 1)
		equal(f, "user", edited.Credential.Username, "u")
		tags, err := f.Tags(f.ctx)
		check(f, err)
		equal(f, "all tags", len(tags), 3)
	})
}

func TestStore_RestoreInstance(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		created := f.instance("n")
		check(f, f.RecordConnection(f.ctx, created.ID, models.Version{Full: "f", Main: "m", Detailed: "d"}, start))
		deleted, err := f.DeleteInstance(f.ctx, created.ID)
		check(f, err)
		equal(f, "status", deleted.Status(), "deleted")
		equal(f, "switched off", deleted.IsActive, false)
		equal(f, "version", deleted.MainVersion, "m")
		equal(f, "connected", *deleted.LastConnected, start)
		f.clock.add(time.Hour)
		again, err := f.DeleteInstance(f.ctx, created.ID)
		check(f, err)
		equal(f, "deleted once", *again.DeletedAt, *deleted.DeletedAt)
		_, err = f.Instance(f.ctx, created.ID)
		wantError(f, err, models.CodeNotFound, "instance.not_found")
		_, err = f.UpdateInstance(f.ctx, created, nil, nil)
		wantError(f, err, models.CodeNotFound, "instance.not_found")
		_, err = f.InstanceIncludingDeleted(f.ctx, created.ID)
		check(f, err)

		taken := f.instance("n")
		_, _, err = f.RestoreInstance(f.ctx, created.ID)
		wantError(f, err, models.CodeConflict, "instance.name_taken")
		_, err = f.DeleteInstance(f.ctx, taken.ID)
		check(f, err)
		restored, was, err := f.RestoreInstance(f.ctx, created.ID)
		check(f, err)
		equal(f, "was deleted", was, true)
		equal(f, "status", restored.Status(), "active")
		_, was, err = f.RestoreInstance(f.ctx, created.ID)
		check(f, err)
		equal(f, "was deleted", was, false)
		_, err = f.DeleteInstance(f.ctx, 4711)
		wantError(f, err, models.CodeNotFound, "instance.not_found")
	})
}

func (f *fixture) names(q models.InstanceQuery) []string {
	f.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	page, err := f.Instances(f.ctx, q)
	check(f, err)
	names := make([]string, len(page.Items))
	for i, item := range page.Items {
		names[i] = item.Name
	}
	return names
}

func TestStore_Instances_SearchIsLiteral(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		for i, name := range hostile {
			_, err := f.CreateInstance(f.ctx, models.Instance{Name: fmt.Sprint(i), Description: name}, nil, nil)
			check(f, err)
		}
		for i, name := range hostile {
			if names := f.names(models.InstanceQuery{Search: name}); !slices.Contains(names, fmt.Sprint(i)) {
				f.Errorf("%q finds %q", name, names)
			}
		}
		f.instance("ÄRGER-Straße")
		for term, want := range map[string]int{
			"ärger-STRASSE": 1, "EXAMPLE.org": 1, "%_": 1, "_": 1, `\`: 1, "case": 2,
			"a\x00": 0, "\xff": 0, "鲸": 1, "nowhere": 0,
		} {
			if names := f.names(models.InstanceQuery{Search: term}); len(names) != want {
				f.Errorf("%q finds %q", term, names)
			}
		}
		for _, q := range []models.InstanceQuery{{DBType: "\xff"}, {Tags: []string{"\x00"}}, {DBType: "x' OR 1=1"}} {
			equal(f, fmt.Sprint(q), len(f.names(q)), 0)
		}
	})
}

func TestStore_InstanceByName(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		upper, binned := f.instance("Case"), f.instance("case")
		_, err := f.DeleteInstance(f.ctx, binned.ID)
		check(f, err)
		found, err := f.InstanceByName(f.ctx, "Case")
		check(f, err)
		equal(f, "id", found.ID, upper.ID)
		for _, name := range []string{"case", "Cas", "", "%", "a\x00"} {
			_, err := f.InstanceByName(f.ctx, name)
			wantError(f, err, models.CodeNotFound, "instance.not_found")
		}
	})
}

func TestStore_Instances_Pages(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		for i := range 5 {
			instance := models.Instance{Name: fmt.Sprintf("n%d", i), DBType: models.Engines[i], IsActive: i%2 == 0}
			if i > 1 {
				instance.Host = pointer(fmt.Sprintf("h%d", 9-i))
			}
			created, err := f.CreateInstance(f.ctx, instance, []string{fmt.Sprintf("tag%d", i%3)}, nil)
			check(f, err)
			if i == 4 {
				_, err := f.DeleteInstance(f.ctx, created.ID)
				check(f, err)
			}
		}
		for _, c := range []struct {
			q    models.InstanceQuery
			want string
		}{
			{models.InstanceQuery{Sort: "name"}, "[n0 n1 n2 n3]"},
			{models.InstanceQuery{Sort: "name", Desc: true}, "[n3 n2 n1 n0]"},
			{models.InstanceQuery{Sort: "host"}, "[n3 n2 n0 n1]"},
			{models.InstanceQuery{Sort: "host", Desc: true}, "[n2 n3 n1 n0]"},
			{models.InstanceQuery{Sort: "status", IncludeDeleted: true}, "[n0 n2 n1 n3 n4]"},
			{models.InstanceQuery{Sort: "; DROP TABLE users"}, "[n0 n1 n2 n3]"},
			{models.InstanceQuery{Sort: "id", Limit: 2, Offset: 1}, "[n1 n2]"},
			{models.InstanceQuery{Sort: "size"}, "[n0 n1 n2 n3]"},
			{models.InstanceQuery{Sort: "growth"}, "[n0 n1 n2 n3]"},
			{models.InstanceQuery{Sort: "active_dbs"}, "[n0 n1 n2 n3]"},
			{models.InstanceQuery{Sort: "last_sync_time"}, "[n0 n1 n2 n3]"},
			{models.InstanceQuery{Sort: "db_type"}, "[n0 n1 n2 n3]"},
			{models.InstanceQuery{Status: "active"}, "[n0 n2]"},
			{models.InstanceQuery{Status: "inactive"}, "[n1 n3]"},
			{models.InstanceQuery{Status: "deleted"}, "[n4]"},
			{models.InstanceQuery{Tags: []string{"tag0", "tag2"}}, "[n0 n2 n3]"},
			{models.InstanceQuery{DBType: models.Oracle}, "[n1]"},
		} {
			equal(f, fmt.Sprintf("%+v", c.q), fmt.Sprint(f.names(c.q)), c.want)
		}
		page, err := f.Instances(f.ctx, models.InstanceQuery{Limit: 2, Sort: "id"})
		check(f, err)
		equal(f, "total", page.Total, 4)
		equal(f, "tags", page.Items[1].Tags[0].Name, "tag1")
	})
}

func TestStore_CreateInstance_SameNewTagsAtOnce(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		for round := range 40 {
			forth := make([]string, 40)
			for i := range forth {
				forth[i] = fmt.Sprintf("%d-%d", round, i)
			}
			back := slices.Clone(forth)
			slices.Reverse(back)
			var both sync.WaitGroup
			for i, names := range [][]string{append(forth, forth[0]), back} {
				both.Go(func() {
					created, err := f.CreateInstance(f.ctx, models.Instance{Name: fmt.Sprint(round, "/", i)}, names, nil)
					if err != nil {
						f.Error(err)
						return
					}
					equal(f, "tags", len(created.Tags), 40)
				})
			}
			both.Wait()
		}
	})
}

func TestStore_RecordConnection_CleansVersion(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		instance := f.instance("n")
		version := models.Version{Full: "8.0\x00 caf\xe9", Main: "8.0\x00", Detailed: "\xff8.0.1"}
		check(f, f.RecordConnection(f.ctx, instance.ID, version, start))
		stored, err := f.Instance(f.ctx, instance.ID)
		check(f, err)
		versions := fmt.Sprint(stored.DatabaseVersion, stored.MainVersion, stored.DetailedVersion)
		equal(f, "versions", versions, "8.0 caf�8.0�8.0.1")
	})
}

// The list says of an instance when it is collected next or, once that was given up, since when and why.
func TestStore_Instances_Schedules(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		fresh, off := f.fileInstance("fresh"), f.fileInstance("off")
		paused, idle := f.fileInstance("paused"), f.fileInstance("idle")
		check(f, f.saveSchedule(off.ID, models.ScheduleEdit{}))
		idle.IsActive = false
		_, err := f.UpdateInstance(f.ctx, idle, nil, nil)
		check(f, err)
		list := func(q models.InstanceQuery) map[string]models.InstanceItem {
			f.Helper()
			q.Limit = 10
			page, err := f.Instances(f.ctx, q)
			check(f, err)
			items := map[string]models.InstanceItem{}
			for _, i := range page.Items {
				items[i.Name] = i
			}
			equal(f, "counted", int(page.Total), len(items))
			return items
		}
		before := list(models.InstanceQuery{})
		equal(f, "next of one never planned", *before["fresh"].Planned.NextAt, *f.schedule(fresh.ID).NextAt)
		equal(f, "none is paused", len(list(models.InstanceQuery{Status: "paused"})), 0)

		f.pause(paused.ID)
		run := f.started(paused.ID, "", "p")
		now := f.Now()
		run.Status, run.EndedAt = models.RunFailed, &now
		run.Failure = &models.Error{Code: models.CodeUnreachable, Key: "error.unreachable"}
		check(f, f.EndRun(f.ctx, run))
		_, err = f.sql().ExecContext(f.ctx, "UPDATE instance_schedules SET last_run_id = $1", run.ID)
		check(f, err)
		items := list(models.InstanceQuery{Sort: "size", Desc: true})
		equal(f, "next", *items["fresh"].Planned.NextAt, *f.schedule(fresh.ID).NextAt)
		equal(f, "no reason", items["fresh"].PausedBy, nil)
		equal(f, "off", items["off"].Planned.Enabled, false)
		equal(f, "off has no next", items["off"].Planned.NextAt, nil)
		equal(f, "inactive has no next", items["idle"].Planned.NextAt, nil)
		given := items["paused"]
		equal(f, "since", *given.Planned.PausedAt, *f.schedule(paused.ID).PausedAt)
		equal(f, "failures", given.Planned.Failures, models.DefaultSchedule.PauseAfter)
		equal(f, "reason", given.PausedBy.Key, "error.unreachable")
		equal(f, "paused ones", len(list(models.InstanceQuery{Status: "paused"})), 1)
	})
}
