package storage

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"flydeploy/fly/local/fault"
)

func TestFaultsOfS3(t *testing.T) {
	info, faults := serve(t)
	c := s3Client(info)
	content := strings.Repeat("x", 100_000)
	if _, err := putObject(t.Context(), c, info, "releases/a", content, nil); err != nil {
		t.Fatal(err)
	}
	target := fault.Target{Service: fault.S3, Action: http.MethodGet, Subject: "releases/"}
	read := func() (string, error) {
		output, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &info.Bucket, Key: aws.String("releases/a")})
		if err != nil {
			return "", err
		}
		defer output.Body.Close()
		body, err := io.ReadAll(output.Body)
		return string(body), err
	}
	faults.Inject(target, 1, fault.Refuse(403, errorBody("AccessDenied", "no")))
	if _, err := read(); errorCode(err) != "AccessDenied" {
		t.Errorf("refused: %v", err)
	}
	faults.Inject(target, 1, fault.CutAfter(1000))
	if got, err := read(); !errors.Is(err, io.ErrUnexpectedEOF) || len(got) != 1000 {
		t.Errorf("cut: %d bytes, %v", len(got), err)
	}
	faults.Inject(target, 1, fault.Alter(func(body []byte) []byte { return bytes.Repeat([]byte("y"), len(body)) }))
	if got, err := read(); err == nil && got == content {
		t.Error("the body is as it was")
	}
	faults.Inject(target, 1, fault.Trickle(10_000, 10*time.Millisecond))
	start := time.Now()
	if got, err := read(); got != content || err != nil || time.Since(start) < 90*time.Millisecond {
		t.Errorf("slow: %d bytes after %v, %v", len(got), time.Since(start), err)
	}
	faults.Inject(fault.Target{Service: fault.S3, Action: http.MethodPut}, 1, fault.Forget(500, errorBody("InternalError", "lost")))
	if _, err := putObject(t.Context(), c, info, "releases/a", "new", nil); errorCode(err) != "InternalError" {
		t.Errorf("lost answer: %v", err)
	}
	if got, err := read(); got != "new" {
		t.Errorf("after a lost answer: %d bytes, %v", len(got), err)
	}
}

func TestClockOfS3(t *testing.T) {
	info, faults := serve(t)
	c := s3Client(info)
	lift := faults.Inject(fault.Target{Service: fault.S3}, 0, ClockOff(time.Minute))
	response, err := http.Get(info.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if at, err := http.ParseTime(response.Header.Get("Date")); err != nil || time.Until(at) < 30*time.Second {
		t.Errorf("a minute ahead S3 says %s, %v", at, err)
	}
	if _, err := putObject(t.Context(), c, info, "releases/a", "x", nil); err != nil {
		t.Errorf("a minute off: %v", err)
	}
	lift()
	faults.Inject(fault.Target{Service: fault.S3}, 0, ClockOff(-time.Hour))
	if _, err := putObject(t.Context(), c, info, "releases/b", "x", nil); errorCode(err) != "RequestTimeTooSkewed" {
		t.Errorf("an hour off: %v", err)
	}
}
