package agenttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"flydeploy/engine"
)

func currentKey(app string) string { return "releases/" + app + "-current.json" }

func resultKey(upgrade, name string) string {
	return "releases/" + App + "-results/" + upgrade + "/" + name
}

// ResultKey is the key of a file of a deploy's record.
func ResultKey(upgrade, name string) string { return resultKey(upgrade, name) }

func (b *bucket) metadata(app string) (engine.Metadata, string, error) {
	o, err := b.read(currentKey(app))
	if err != nil {
		return engine.Metadata{}, "", err
	}
	md, err := engine.DecodeMetadata(o.body)
	return md, o.etag, err
}

// Metadata implements engine.Records.
func (s *Storage) Metadata(ctx context.Context) (engine.Metadata, string, error) {
	type read struct {
		md   engine.Metadata
		etag string
	}
	r, err := ask(ctx, s.world, s.about(ReadMetadata, ""), func() (read, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		md, etag, err := s.world.bucket.metadata(App)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			err = engine.NewProblem("metadata_unreadable", "s3://"+bucketName+"/"+currentKey(App)+" is not what fly_deploy writes", err, "Look at the object.")
		}
		return read{md, etag}, err
	})
	return r.md, r.etag, err
}

// WriteMetadata implements engine.Records.
func (s *Storage) WriteMetadata(ctx context.Context, md engine.Metadata, etag string) error {
	body, err := engine.EncodeMetadata(md)
	if err != nil {
		return err
	}
	return tell(ctx, s.world, s.about(WriteMetadata, ""), func() error {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		_, err := s.world.bucket.replace(currentKey(App), etag, body)
		return err
	})
}

// WriteResult implements engine.Records.
func (s *Storage) WriteResult(ctx context.Context, upgrade, name string, body []byte) error {
	return tell(ctx, s.world, s.about(WriteResult, name), func() error {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		s.world.bucket.write(resultKey(upgrade, name), object{body: bytes.Clone(body)})
		return nil
	})
}

// PresignResult implements engine.Records.
func (s *Storage) PresignResult(ctx context.Context, upgrade, name string, valid time.Duration) (address, key string, err error) {
	key = resultKey(upgrade, name)
	address, err = ask(ctx, s.world, s.about(PresignResult, name), func() (string, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		return s.world.bucket.presign("PUT", key, anySize, valid), nil
	})
	return address, key, err
}

// Result implements engine.Records.
func (s *Storage) Result(ctx context.Context, upgrade, name string) (engine.Document, error) {
	return ask(ctx, s.world, s.about(ReadResult, name), func() (engine.Document, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		o, err := s.world.bucket.read(resultKey(upgrade, name))
		if err != nil {
			return engine.Document{}, err
		}
		return engine.Document{Body: bytes.Clone(o.body), Age: s.world.bucket.age(o), Address: base + resultKey(upgrade, name)}, nil
	})
}

// Results implements engine.Records.
func (s *Storage) Results(ctx context.Context, upgrade, prefix string) ([]string, error) {
	return ask(ctx, s.world, s.about(ListUpgrades, upgrade), func() ([]string, error) {
		var names []string
		for _, key := range s.world.Objects(resultKey(upgrade, prefix)) {
			names = append(names, strings.TrimPrefix(key, resultKey(upgrade, "")))
		}
		return names, nil
	})
}

// Upgrades implements engine.Records.
func (s *Storage) Upgrades(ctx context.Context) ([]string, error) {
	return ask(ctx, s.world, s.about(ListUpgrades, ""), func() ([]string, error) {
		var ids []string
		for _, key := range s.world.Objects("releases/" + App + "-results/") {
			if id, _, _ := strings.Cut(strings.TrimPrefix(key, "releases/"+App+"-results/"), "/"); isDeployID(id) {
				ids = append(ids, id)
			}
		}
		ids = slices.Compact(ids)
		slices.Reverse(ids)
		return ids, nil
	})
}

func isDeployID(name string) bool {
	id, err := ulid.ParseStrict(name)
	return err == nil && id.String() == name
}

// DeleteUpgrade implements engine.Records.
func (s *Storage) DeleteUpgrade(ctx context.Context, upgrade string) error {
	return tell(ctx, s.world, s.about(DeleteUpgrade, upgrade), func() error {
		if !isDeployID(upgrade) {
			return fmt.Errorf("delete a deploy's record: %q is not the id of a deploy", upgrade)
		}
		for _, key := range s.world.Objects(resultKey(upgrade, "")) {
			s.world.locked(func() { delete(s.world.bucket.objects, key) })
		}
		return nil
	})
}
