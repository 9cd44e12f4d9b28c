package models

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
	"gorm.io/gorm/clause"
)

// ErrWrongKeyset reports that the store's secrets were sealed with another keyset.
var ErrWrongKeyset = errors.New("the keyset does not belong to this store")

// Keyset seals secrets with AES-256-GCM. The zero Keyset returns an error instead.
type Keyset struct{ primitive tink.AEAD }

// LoadKeyset reads a keyset in Tink's JSON format from inline, or from the file at path if inline is empty.
func LoadKeyset(path, inline string) (Keyset, error) {
	if inline != "" {
		return parseKeyset([]byte(inline))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Keyset{}, fmt.Errorf("read the keyset: %w", err)
	}
	return parseKeyset(text)
}

// CreateKeyset writes a new keyset to a file that only its owner can read. If the file exists it is left alone and the
// error is fs.ErrExist.
func CreateKeyset(path string) (Keyset, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return Keyset{}, fmt.Errorf("create a keyset: %w", err)
	}
	var text bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&text)); err != nil {
		return Keyset{}, fmt.Errorf("create a keyset: %w", err)
	}
	if err := writeNewFile(path, text.Bytes()); err != nil {
		return Keyset{}, fmt.Errorf("write the keyset: %w", err)
	}
	return newKeyset(handle)
}

// writeNewFile writes a temporary file and links it to path, so that no reader sees half of it. An existing path is
// fs.ErrExist.
func writeNewFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".keyset-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Link(file.Name(), path)
}

func parseKeyset(text []byte) (Keyset, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(text)))
	if err != nil {
		return Keyset{}, errors.New("the keyset is not a Tink keyset in JSON") // the cause may quote key material
	}
	return newKeyset(handle)
}

func newKeyset(handle *keyset.Handle) (Keyset, error) {
	primitive, err := aead.New(handle)
	if err != nil {
		return Keyset{}, fmt.Errorf("the keyset cannot seal: %w", err)
	}
	return Keyset{primitive: primitive}, nil
}

var errNoKeyset = errors.New("no keyset was given")

// Seal encrypts plain. Only Open with the same purpose can decrypt it.
func (k Keyset) Seal(plain []byte, purpose string) ([]byte, error) {
	if k.primitive == nil {
		return nil, errNoKeyset
	}
	return k.primitive.Encrypt(plain, []byte(purpose))
}

// Open decrypts what Seal returned for the same purpose.
func (k Keyset) Open(sealed []byte, purpose string) ([]byte, error) {
	if k.primitive == nil {
		return nil, errNoKeyset
	}
	return k.primitive.Decrypt(sealed, []byte(purpose))
}

const (
	cookieKeyName   = "cookie_key"
	cookieKeyLength = 32
)

// setting is a row of the table settings.
type setting struct {
	Name  string `gorm:"primaryKey"`
	Value []byte
}

// CookieKey returns the 32-byte key that signs cookies and CSRF tokens. All replicas share it.
func (s *Store) CookieKey() []byte { return bytes.Clone(s.cookieKey) }

// loadCookieKey reads the key, or creates it in a new store. Since it is sealed, reading it verifies the keyset.
func (s *Store) loadCookieKey(ctx context.Context) error {
	stored, err := s.storedCookieKey(ctx)
	if err != nil {
		return fmt.Errorf("read the cookie key: %w", err)
	}
	s.cookieKey, err = s.Keys.Open(stored.Value, cookieKeyName)
	if err != nil {
		return errors.Join(ErrWrongKeyset, err)
	}
	return nil
}

// storedCookieKey inserts a key unless there is one and returns the first that was inserted, so replicas that start
// together agree.
func (s *Store) storedCookieKey(ctx context.Context) (setting, error) {
	db, done := bounded(ctx, s.writer)
	defer done()
	var stored []setting
	if err := db.Find(&stored, "name = ?", cookieKeyName).Error; err != nil || len(stored) == 1 {
		return append(stored, setting{})[0], err
	}
	sealed, err := s.Keys.Seal(randomBytes(cookieKeyLength), cookieKeyName)
	if err != nil {
		return setting{}, err
	}
	if err := db.Clauses(clause.OnConflict{DoNothing: true}).Create(&setting{cookieKeyName, sealed}).Error; err != nil {
		return setting{}, err
	}
	var first setting
	err = db.Take(&first, "name = ?", cookieKeyName).Error
	return first, err
}
