/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages for somebody who is away. letter.c: one on its way into the overlay, at the sender's
 * home. mailbox.c: those that wait for somebody who has come back, at a home of the recipient. The
 * node's alone. */
#ifndef NODE_MAIL_H
#define NODE_MAIL_H

#include "base/recipients.h"
#include "node/internal.h"
#include "usage/message.h"

#define LETTERS_MAX 1024u /* under way; beyond: 503 */
#define LETTERS_OF_SENDER_MAX 32u
#define LETTERS_BURST 200u         /* of one sender at once, then */
#define LETTER_PAUSE_US SEC(5)     /* one in so long */
#define LETTER_ROWS 1024u          /* senders, by a keyed hash */
#define LETTER_COPIES 2u           /* */
#define LETTER_PATIENCE_US SEC(12) /* no new try later; the phone waits for 32 s */
#define LETTER_AGAIN_US SEC(1)

enum letter_stage {
  LETTER_WAITING, /* another by the same sender for the same recipient goes first */
  LETTER_NAMING,  /* the recipient's certificates are asked for */
  LETTER_SIGNING,
  LETTER_SEALING,
  LETTER_WRITING,
  LETTER_PAUSING, /* all that from the certificates on is tried again */
};
enum letter_for { LETTER_FOR_EDGE, LETTER_FOR_COMMAND };
struct letter {
  struct timer timer;
  enum letter_stage stage;
  enum letter_for for_whom;
  uint64_t user;  /* the edge's, or the command's ticket */
  uint64_t order; /* of arrival */
  usec patient_until;
  char *text; /* owned: what the slices of `message` are in */
  size_t text_len;
  struct message message;
  struct key owner;                               /* of the recipient's records */
  uint8_t certificate[RECIPIENT_CERTIFICATE_MAX]; /* of the key that receives */
  size_t certificate_len;
};

/* Takes a message over. Who wanted it is told: 202 when it is stored, or why not. */
void letter_begin(struct step *s, enum letter_for for_whom, uint64_t user,
                  const struct message *message);
struct letter *letter_of(const struct node *node, uint64_t ticket);
void letter_on_certificates(struct step *s, struct letter *letter, uint16_t status,
                            struct slice body, uint64_t refused);
void letter_on_signed(struct step *s, struct letter *letter, enum err status, struct slice record);
void letter_on_sealed(struct step *s, struct letter *letter, enum err status, struct slice sealed);
void letter_on_written(struct step *s, struct letter *letter, uint16_t status, const char *text);
void letter_on_timer(struct step *s, struct letter *letter);
void letters_free(struct node *node);

#define MAILBOXES_MAX 256u    /* being emptied; beyond: at a later REGISTER */
#define MAILBOX_ITEMS_MAX 16u /* held of one; the oldest go first */
/* That a delivery may take: 64 * T1, and the removal. */
#define MAILBOX_TIME_MS ((msec_wall)35000)
#define MAILBOX_TRIES_MAX 5u /* the last when a claim that was there at the first has lapsed */
#define MAILBOX_PAUSE_US SEC(20)

enum mailbox_stage {
  BOX_PAUSING,
  BOX_READING,
  BOX_CLAIMING,
  BOX_OPENING,
  BOX_VERIFYING,
  BOX_PINNING,
  BOX_DELIVERING,
  BOX_REMOVING,
  BOX_RELEASING,
};
struct mailbox_item {
  char *bytes; /* owned: a whole record */
  size_t len;
  uint64_t version;
};
struct mailbox {
  struct timer timer;
  enum mailbox_stage stage;
  char *text; /* owned: the Address-of-Record */
  size_t text_len;
  struct slice address;
  bool again; /* a phone registered meanwhile */
  bool claimed;
  unsigned tries;         /* since the oldest message there was another */
  uint64_t oldest;        /* its version */
  struct record_id after; /* reading goes on there */
  bool has_after, left_out;
  uint64_t passed; /* what is not newer is not for a key that is here */
  unsigned count, at;
  uint32_t waiting; /* all that is stored, held here or not */
  bool counted;
  struct mailbox_item item[MAILBOX_ITEMS_MAX];
  struct message_stored claim; /* this peer's; its value is in claim_text */
  char claim_text[64];
  msec_wall claimed_until;
  char *letter; /* owned: what was inside, then the message read from it */
  size_t letter_len;
  char *work;
  size_t work_len;
  struct message message;
  struct write_signer signer;
};

/* A phone of that address registered at this peer: what waits for it is fetched. */
void mailbox_begin(struct step *s, struct slice address);
/* A message may be on its way into that mailbox: it is looked at in a while. */
void mailbox_begin_later(struct step *s, struct slice address);
bool mailbox_is_open(const struct node *node, struct slice address);
struct mailbox *mailbox_of(const struct node *node, uint64_t ticket);
void mailbox_on_records(struct step *s, struct mailbox *box, uint16_t status, struct slice text,
                        uint64_t refused);
void mailbox_on_written(struct step *s, struct mailbox *box, uint16_t status);
void mailbox_on_unsealed(struct step *s, struct mailbox *box, enum err status, struct slice plain);
void mailbox_on_verified(struct step *s, struct mailbox *box, const struct verified *verified);
void mailbox_on_pin(struct step *s, struct mailbox *box, const struct pin_facts *facts);
/* The phone's answer: its status, 408 for none, 480 where there is no phone. */
void mailbox_on_delivered(struct step *s, uint64_t ticket, uint16_t status);
/* The sender of a message that is over, one way or the other, hears of it if it asked to.
 */
void notice_send(struct step *s, const struct message *message, bool delivered);
void mailbox_on_timer(struct step *s, struct mailbox *box);
void mailboxes_free(struct node *node);

#define LATES_MAX 4096u /* beyond: at a later REGISTER */
struct late {
  struct timer timer;
  char *address; /* owned */
  size_t len;
  unsigned looks;
};
/* A phone of that address is new here: what was just being left for it is fetched, too.
 */
void late_begin(struct step *s, struct slice address);
/* Its phone would not take what there is: until it registers again. */
void late_end(struct node *node, struct slice address);
void late_on_timer(struct step *s, uint64_t ticket);
void lates_free(struct node *node);

#endif
