package state

import (
	"context"
	"errors"
	"time"
)

// Conversations are items in an order, to which responses are added as they end.
//
//	CreateConversation ─► items ─ AddItems, DeleteItem, SetMetadata ─► items ─ DeleteConversation ─► nothing
//	Lock ─ Items ─► the history of a response ─ Commit of a Record that Joins ─► its items added, the lock gone
//
// One response is made for a conversation at a time: whoever makes it holds the lock,
// by a name of its own, until it is committed, unlocked, or the lease has lapsed by the
// store's clock. A conversation goes as a whole, with the responses of it.
type Conversations interface {
	// CreateConversation keeps a new conversation with its first items. Creating the
	// same again is a success.
	CreateConversation(ctx context.Context, c *Conversation, first Batch) error

	// GetConversation returns what is known of a conversation.
	GetConversation(ctx context.Context, owner Owner, id string) (*Conversation, error)

	// SetMetadata replaces the metadata.
	SetMetadata(ctx context.Context, owner Owner, id string, metadata []byte) (*Conversation, error)

	// DeleteConversation removes a conversation for good, with its items and the
	// responses of it, locked or not.
	DeleteConversation(ctx context.Context, owner Owner, id string) error

	// Items returns items of a conversation, in the order of the span, and whether
	// there are more. ErrNoItem is that the item that it goes on after is none.
	Items(ctx context.Context, owner Owner, id string, span Span) (items []Item, more bool, err error)

	// Item returns one item; ErrNoItem when the conversation has none of this id.
	Item(ctx context.Context, owner Owner, id, item string) ([]byte, error)

	// AddItems adds items at the end: all of them, or none. ErrLocked while the
	// conversation is locked; a *DuplicateError when it has one of them. Adding the same
	// batch again is a success.
	AddItems(ctx context.Context, owner Owner, id string, b Batch) error

	// DeleteItem removes one item; ErrLocked while the conversation is locked.
	DeleteItem(ctx context.Context, owner Owner, id, item string) (*Conversation, error)

	// Lock locks the conversation for a holder, for so long; ErrLocked while somebody
	// else holds it. It is the holder's again who has it already.
	Lock(ctx context.Context, owner Owner, id, holder string, lease time.Duration) error

	// RenewLock lets the holder's lock be valid for so long from now on, lapsed or not;
	// ErrLost when it is no longer the holder's.
	RenewLock(ctx context.Context, owner Owner, id, holder string, lease time.Duration) error

	// Unlock gives the lock back, if it is the holder's.
	Unlock(ctx context.Context, owner Owner, id, holder string) error

	// ConversationIDs are those of all that an owner has, the oldest first.
	ConversationIDs(ctx context.Context, owner Owner) ([]string, error)
}

// Conversation is what is known of one beside its items.
type Conversation struct {
	ID       string // the part after "conv_"
	Owner    Owner
	Created  time.Time // kept in milliseconds
	Metadata []byte
}

// Item is one item of a conversation.
type Item struct {
	ID   string // 1 to 64 bytes
	Data []byte
}

// Batch is items that are added together.
type Batch struct {
	ID    string // another one for each; of a response's items the response's
	Items []Item

	// TTL is how long the conversation is kept after this at least, as it is of a
	// Record; 0 is for ever.
	TTL time.Duration
}

// Slack is how much longer than TTL a conversation may be kept.
func (b *Batch) Slack() time.Duration { return slack(b.TTL) }

// Span says which items are wanted.
type Span struct {
	After     string // the id of the item before the first one; "": from the beginning
	Limit     int    // so many at most; 0: any number
	Bytes     int64  // so much at most, but for the first one; 0: any size
	Ascending bool   // the oldest first
}

// Joins is how a response belongs to a conversation.
type Joins struct {
	Conversation string
	Holder       string // of its lock
	Items        []Item // to be added; none of an answer that failed
	Discard      bool   // the response itself is not kept
}

// Batch are the items that a record adds.
func (r *Record) Batch() Batch { return Batch{ID: r.ID, Items: r.Joins.Items, TTL: r.TTL} }

// conversationPrefix begins the ids of conversations on the wire.
const conversationPrefix = "conv_"

// ConversationIDOf returns the part of a conversation's id that a store knows, and
// whether the id is one at all.
func ConversationIDOf(wire string) (id string, ok bool) { return idAfter(conversationPrefix, wire) }

// What a store of conversations can answer, too.
var (
	ErrLocked    = errors.New("the conversation is locked by somebody else")
	ErrNoItem    = errors.New("the conversation has no such item")
	ErrDuplicate = errors.New("the conversation has the item already")
)

// DuplicateError names the item that the conversation has. It is ErrDuplicate.
type DuplicateError struct{ ID string }

func (e *DuplicateError) Error() string { return ErrDuplicate.Error() + ": " + e.ID }

// Is is for errors.Is.
func (e *DuplicateError) Is(target error) bool { return target == ErrDuplicate }

// EachConversation calls each with the owner's conversations and all their items, but
// for those that have gone meanwhile, until it returns an error.
func EachConversation(ctx context.Context, s Conversations, owner Owner, each func(*Conversation, []Item) error) error {
	ids, err := s.ConversationIDs(ctx, owner)
	if err != nil {
		return err
	}
	for _, id := range ids {
		c, err := s.GetConversation(ctx, owner, id)
		var items []Item
		if err == nil {
			items, _, err = s.Items(ctx, owner, id, Span{Ascending: true})
		}
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err == nil {
			err = each(c, items)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Taking takes items one after the other, as many as a span wants.
type Taking struct {
	Span  Span
	Items []Item

	bytes int64
}

// Room reports whether an item of so many bytes is wanted.
func (t *Taking) Room(bytes int) bool {
	t.bytes += int64(bytes)
	full := t.Span.Limit > 0 && len(t.Items) == t.Span.Limit
	return !full && (t.Span.Bytes <= 0 || t.bytes <= t.Span.Bytes || len(t.Items) == 0)
}
