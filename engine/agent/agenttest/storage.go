package agenttest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"flydeploy/engine"
)

// Storage is the bucket as one console sees it. It is an engine.Locks, Records, Tarballs and Trials.
type Storage struct {
	world   *World
	console string
	watched watched
	asked   atomic.Bool // something, so that an answer has told the bucket's time
}

var (
	_ engine.Records  = (*Storage)(nil)
	_ engine.Tarballs = (*Storage)(nil)
)

func (s *Storage) about(kind Kind, arg string) Call {
	s.asked.Store(true)
	return Call{Console: s.console, Kind: kind, Arg: arg}
}

// Now gives the time by the bucket's clock; before the bucket was asked for anything, by the console's own.
func (s *Storage) Now() time.Time {
	if !s.asked.Load() {
		return time.Now()
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return s.world.bucket.now()
}

// PresignPut implements engine.Tarballs.
func (s *Storage) PresignPut(ctx context.Context, key string, size int64, sha256 string, valid time.Duration) (address string, headers map[string]string, err error) {
	address, err = ask(ctx, s.world, s.about(PresignPut, key), func() (string, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		return s.world.bucket.presign("PUT", key, size, valid), nil
	})
	return address, map[string]string{"If-None-Match": "*", "X-Amz-Meta-Sha256": sha256}, err
}

// PresignGet implements engine.Tarballs.
func (s *Storage) PresignGet(ctx context.Context, key string, valid time.Duration) (string, error) {
	return ask(ctx, s.world, s.about(PresignGet, key), func() (string, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		return s.world.bucket.presign("GET", key, anySize, valid), nil
	})
}

// Put implements engine.Tarballs.
func (s *Storage) Put(ctx context.Context, key string, file io.ReadSeeker, sha256 string, progress func(done, total int64)) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	body, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	return tell(ctx, s.world, s.about(PutTarball, key), func() error {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		if s.world.bucket.objects[key] != nil {
			return fmt.Errorf("write s3://%s/%s: %w", bucketName, key, engine.ErrConflict)
		}
		s.world.bucket.write(key, object{body: body, sha256: sha256})
		if progress != nil {
			progress(int64(len(body)), int64(len(body)))
		}
		return nil
	})
}

// Get implements engine.Tarballs.
func (s *Storage) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	return ask(ctx, s.world, s.about(GetTarball, key), func() ([]byte, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		o, err := s.world.bucket.read(key)
		if err != nil {
			return nil, err
		}
		if o.size > limit {
			return nil, fmt.Errorf("read s3://%s/%s: more than %d bytes", bucketName, key, limit)
		}
		return bytes.Clone(o.body), nil
	})
}

// Stat implements engine.Tarballs.
func (s *Storage) Stat(ctx context.Context, key string) (engine.Object, error) {
	return ask(ctx, s.world, s.about(StatTarball, key), func() (engine.Object, error) {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		o, err := s.world.bucket.read(key)
		if err != nil {
			return engine.Object{}, err
		}
		return engine.Object{Key: key, Size: o.size, SHA256: o.sha256}, nil
	})
}

// Delete implements engine.Tarballs.
func (s *Storage) Delete(ctx context.Context, key string) error {
	return tell(ctx, s.world, s.about(DeleteTarball, key), func() error {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		delete(s.world.bucket.objects, key)
		return nil
	})
}

// URL implements engine.Tarballs.
func (s *Storage) URL(key string) string { return base + key }
