package engine

import (
	"slices"
	"strings"
)

// SameImage reports whether two references name the same image. Digests must be equal where both have one: a tag can be moved to
// another image. So must repository and tag, which is all that a machine knows of its own image (FLY_IMAGE_REF).
func SameImage(a, b string) bool {
	aName, aDigest := splitDigest(a)
	bName, bDigest := splitDigest(b)
	if aName != bName {
		return false
	}
	return aDigest == "" || bDigest == "" || aDigest == bDigest
}

func splitDigest(ref string) (name, digest string) {
	name, digest, _ = strings.Cut(ref, "@")
	return name, digest
}

// WithDigest gives HOST/APP:TAG@DIGEST. ref may have a digest already, and digest may be "".
func WithDigest(ref, digest string) string {
	if name, has := splitDigest(ref); has == "" && name != "" && digest != "" {
		return name + "@" + digest
	}
	return ref
}

// WithoutDigest gives HOST/APP:TAG.
func WithoutDigest(ref string) string {
	name, _ := splitDigest(ref)
	return name
}

// shortDigest is how many characters of a digest are enough to tell two images apart.
const shortDigest = len("sha256:") + 12

// ImageNames gives the tags of images, each once, with the beginnings of the digests where images differ in nothing else.
func ImageNames(refs ...string) []string {
	var images []string
	byTag := map[string]int{}
	for _, ref := range refs {
		if !slices.Contains(images, ref) {
			images = append(images, ref)
			byTag[Tag(ref)]++
		}
	}
	for i, ref := range images {
		images[i] = Tag(ref)
		if _, digest := splitDigest(ref); byTag[Tag(ref)] > 1 && digest != "" {
			images[i] += "@" + digest[:min(len(digest), shortDigest)]
		}
	}
	return images
}

// Repository gives HOST/APP of HOST/APP:TAG@DIGEST.
func Repository(ref string) string {
	name, _ := splitDigest(ref)
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		return name[:colon]
	}
	return name
}

// Tag gives TAG of HOST/APP:TAG@DIGEST; "" where there is none.
func Tag(ref string) string {
	name, _ := splitDigest(ref)
	return strings.TrimPrefix(strings.TrimPrefix(name, Repository(ref)), ":")
}
