package collectors

import (
	"context"

	"whalefall/models"
)

// instance loads an instance that can be collected. An inactive one and one without a usable credential are
// CodeCollection errors.
func (s *Service) instance(ctx context.Context, id int64) (models.Instance, error) {
	i, err := s.store.TargetInstance(ctx, id)
	switch {
	case err != nil:
		return i, err
	case !i.IsActive:
		return i, About(&models.Error{Code: models.CodeCollection, Key: "collect.instance_inactive"}, id, "")
	}
	return i, requireCredential(i)
}

// requireCredential returns a CodeCollection error for an instance that needs a credential and has none, or one that
// may not be sent to its host.
func requireCredential(i models.Instance) error {
	switch {
	case i.DBType == models.SQLite:
		return nil
	case i.Credential == nil:
		return About(&models.Error{Code: models.CodeCollection, Key: "collect.no_credential"}, i.ID, "")
	}
	if err := i.Credential.RequireHost(*i.Host, models.CodeCollection); err != nil {
		return About(err, i.ID, "")
	}
	return nil
}

// TargetOf returns what is needed to connect to a stored instance, with the password unsealed. An instance without a
// usable credential is a CodeCollection error.
func (s *Service) TargetOf(i models.Instance) (Target, error) {
	t := Target{
		InstanceID: i.ID, Name: i.Name, Engine: i.DBType, Database: i.DatabaseName,
		TLSMode: i.TLSMode, Options: i.Options,
	}
	if i.DBType == models.SQLite {
		return t, nil
	}
	if err := requireCredential(i); err != nil {
		return t, err
	}

	password, err := s.store.Password(*i.Credential)
	if err != nil {
		return t, err
	}
	t.Host, t.Port = *i.Host, *i.Port
	t.Username, t.Password = i.Credential.Username, password
	return t, nil
}

// Capabilities returns those of the engine's collector, the zero value where there is none.
func (s *Service) Capabilities(e models.Engine) models.Capabilities {
	if c, ok := s.engines[e]; ok {
		return c.Capabilities()
	}
	return models.Capabilities{}
}

func (s *Service) collector(e models.Engine) (Collector, error) {
	if c, ok := s.engines[e]; ok {
		return c, nil
	}
	return nil, &models.Error{
		Code: models.CodeCollection, Key: "collect.engine_missing", Args: models.Args("Engine", string(e)),
	}
}

// About adds to an error of a target which instance, and unless it is empty which database, it is about. Errors of
// other codes are returned unchanged.
func About(err error, id int64, database string) error {
	e := models.AsError(err)
	switch e.Code {
	case models.CodeUnreachable, models.CodeCollection, models.CodeTimeout:
	default:
		return err
	}
	e = e.WithInstanceID(id)
	if database != "" {
		e = e.With("database_name", database)
	}
	return e
}
