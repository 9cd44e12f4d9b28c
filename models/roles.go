package models

import "slices"

// Role is the role of a user. Role.May says what each role may do.
type Role string

// Roles of the contract.
const (
	RoleAdmin Role = "admin"
	RoleUser  Role = "user"
	RoleGuest Role = "guest"
)

// Roles lists every role, least privileged first.
var Roles = []Role{RoleGuest, RoleUser, RoleAdmin}

// Known reports whether r is a role.
func (r Role) Known() bool { return slices.Contains(Roles, r) }

// Covers reports whether r may do everything that other may. An unknown role covers none and is covered by none.
func (r Role) Covers(other Role) bool {
	mine, others := slices.Index(Roles, r), slices.Index(Roles, other)
	return others >= 0 && mine >= others
}

// lesser returns the less privileged of two roles; empty if one of two different roles is unknown.
func lesser(a, b Role) Role {
	switch {
	case a.Covers(b):
		return b
	case b.Covers(a):
		return a
	}
	return ""
}

// Permission is what a route requires.
type Permission string

// Permissions of the contract.
const (
	PermView   Permission = "view"
	PermCreate Permission = "create"
	PermUpdate Permission = "update"
	PermDelete Permission = "delete"
	PermAdmin  Permission = "admin"
	PermSync   Permission = "instance_management.instance_list.sync_capacity"
)

// Permissions lists every permission in the order in which a session reports them.
var Permissions = []Permission{PermView, PermCreate, PermUpdate, PermDelete, PermAdmin, PermSync}

// May reports whether the role has the permission.
func (r Role) May(p Permission) bool {
	switch r {
	case RoleAdmin:
		return true
	case RoleUser:
		return p == PermView || p == PermSync
	case RoleGuest:
		return p == PermView
	}
	return false
}
