package models_test

import (
	"fmt"
	"strings"
	"testing"

	"whalefall/models"
)

// The password typed again moves a credential with its instance, and stays where another instance uses it.
func TestStore_UpdateInstance_PasswordAgain(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		move := func(i models.Instance, host, password string) models.Instance {
			f.Helper()
			i.Host = &host
			i, err := f.UpdateInstance(f.ctx, i, nil, &models.TypedLogin{Password: password, Again: true})
			check(f, err)
			plain, err := f.Password(*i.Credential)
			check(f, err)
			equal(f, "password", plain, password)
			return i
		}
		hosts := func(i models.Instance) string { return strings.Join(i.Credential.Hosts, " ") }

		made := models.TypedLogin{Username: "u", Password: "p"}
		first, err := f.CreateInstance(f.ctx, models.Instance{Name: "first", Host: pointer("A.example.")}, nil, &made)
		check(f, err)
		equal(f, "made for", hosts(first), "a.example")
		first = move(first, "b.example", "q")
		equal(f, "moved", hosts(first), "b.example")
		first = move(first, "B.Example", "same host")
		equal(f, "not moved", hosts(first), "b.example")

		shared := models.Instance{Name: "second", Host: pointer("b.example"), CredentialID: first.CredentialID}
		second, err := f.CreateInstance(f.ctx, shared, nil, nil)
		check(f, err)
		first = move(first, "c.example", "r")
		equal(f, "shared", hosts(first), "b.example c.example")
		second = move(second, "c.example", "s")
		equal(f, "moved after it", hosts(second), "b.example c.example")
		_, err = f.DeleteInstance(f.ctx, second.ID)
		check(f, err)
		equal(f, "the other one is gone", hosts(move(first, "d.example", "t")), "b.example d.example")
	})
}

func TestStore_UpdateCredential_Hosts(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		hosts := func(id int64) string {
			f.Helper()
			stored, err := f.Credential(f.ctx, id)
			check(f, err)
			return fmt.Sprintf("%#v", stored.Hosts)
		}
		created, err := f.CreateCredential(f.ctx, models.Credential{Name: "c", Username: "u"}, "p")
		check(f, err)
		equal(f, "any", hosts(created.ID), "models.Hosts{}")
		created.Hosts = models.Hosts{"db", "10.0.0.0/8"}
		bound, err := f.UpdateCredential(f.ctx, created, nil)
		check(f, err)
		equal(f, "bound", hosts(bound.ID), `models.Hosts{"db", "10.0.0.0/8"}`)
		bound.Hosts = nil
		_, err = f.UpdateCredential(f.ctx, bound, nil)
		wantError(f, err, models.CodeInvalid, "credential.hosts_password")
		_, err = f.UpdateCredential(f.ctx, bound, pointer("q"))
		check(f, err)
		equal(f, "any again", hosts(bound.ID), "models.Hosts{}")
	})
}
