/* The idea behind the gate, small enough to read in ten minutes and to check in every state it can reach:
 * head, redo list (pend), token, run and session, for 2 runs, 2 orchestrators and 2 runners at a limit of 1.
 *
 * Each atomic block is one conditional write or one read of one item; between any two of them everybody else
 * may move, so a process may be frozen anywhere for as long as the others like. Dispatch messages, once sent,
 * can be taken at any later time and any number of times: late, twice, out of order, never.
 * A runner may die before any write; a session may be declared dead while its runner still works.
 *
 * Checked: at most LIMIT grants are in force (counted at the head's commits, not in the tokens), fences only
 * grow, a stage's effect is committed once, a terminal state is never left, and when nothing can move any
 * more every run has ended and no token is left (unless the bounded fences ran out).
 *
 * RETURNING=1: run 0 may once give up its turn and come back: its runner lets it rest and frees the slot, or yields at a
 * checkpoint and stays in the line; or somebody pauses it in the line, granted or not. A hint or a timer wakes a run that
 * rests: it is queued with a higher fence, and gets another token once the old one is gone. So that these histories stay
 * few enough, nobody is killed or declared dead in them, and run 1 is claimed in time.
 *
 * MUTANT=1: head without compare-and-swap. 2: redo list not applied before deciding. 3: claim without fence.
 * 4: commit without fence. 5: revoke without raising the run's fence. 6: slot freed before the run is fenced off.
 * 7: returned under the old fence. 8: new token made beside the old one. 9: new token does not know the old fences.
 * 10: withdrawn from the line whatever its fence. 11: the slot is freed before a run has left.
 */
#define RUNS 2
#define LIMIT 1
#ifndef RETURNING
#define RETURNING 0
#endif
#define FENCES (3 + RETURNING)
#if RETURNING           /* run 0 can be granted twice, run 1 once: enough for every pair of operations to meet */
#define GRANTS(r) (r == 0 -> 2 + gave_up : 1)       /* a return takes a fence, too */
#else
#define GRANTS(r) (2 - r)
#endif
#define SESSIONS 3      /* two runners, and the next life of the one that is killed */
#ifndef MUTANT
#define MUTANT 0
#endif

#define NONE 0          /* operations */
#define GRANT 1
#define RELEASE 2
#define REQUEUE 3
#define WITHDRAW 4

#define ABSENT 0        /* tokens */
#define WAITING 1
#define HELD 2

#define QUEUED 0        /* runs */
#define RUNNING 1
#define ENDED 2
#define RESTING 3

bit overtaken[2];       /* the head moved since this orchestrator read it: what comparing `seq` tells */
byte pend_op[RUNS], pend_fence[RUNS];
byte token[RUNS], token_fence[RUNS];
byte state[RUNS], run_fence[RUNS], run_session[RUNS];
bit stage_done[RUNS];
bit dead[SESSIONS];
bit message[2 * FENCES]; /* [run * FENCES + fence] */
bit gave_up;            /* run 0 has once rested, yielded or been paused */
bit returning;          /* it is queued again, and the token it needs is not made yet */

byte in_force;          /* ghosts: what the head's history says */
byte granted[RUNS];     /* the last fence granted */
bit holds[RUNS];        /* that grant is still in force */
bit killed;             /* one kill -9 in each history */

inline apply(r, op, f) {
  atomic {
    if
    :: op == GRANT && token[r] == WAITING && token_fence[r] < f -> token[r] = HELD; token_fence[r] = f
    :: op == RELEASE && token[r] == HELD && token_fence[r] == f -> token[r] = ABSENT
    :: op == REQUEUE && token[r] == HELD && token_fence[r] == f -> token[r] = WAITING
#if RETURNING
    :: op == WITHDRAW && token[r] == WAITING && (token_fence[r] == f || MUTANT == 10) -> token[r] = ABSENT
#endif
    :: else
    fi
  }
}

/* There is something an orchestrator could do: it sleeps otherwise. */
#define UNAPPLIED(r) ((pend_op[r] == GRANT && token[r] == WAITING && token_fence[r] < pend_fence[r]) || \
                      ((pend_op[r] == RELEASE || pend_op[r] == REQUEUE) && token[r] == HELD && token_fence[r] == pend_fence[r]) || \
                      (pend_op[r] == WITHDRAW && token[r] == WAITING && token_fence[r] == pend_fence[r]))
#define WAITS(r) (state[r] == QUEUED && !(r == 0 && returning))
#define AWAY(r) (state[r] == RESTING || (r == 0 && returning))   /* it needs no token, or another one */
#define FREE (token[0] != HELD && token[1] != HELD)
#define GRANTABLE(r) (FREE && token[r] == WAITING && token_fence[r] < GRANTS(r))
#define OVER(r) (token[r] == HELD && (state[r] == ENDED || GONE(r, token_fence[r]) || \
                 (WAITS(r) && run_fence[r] >= token_fence[r]) || \
                 (state[r] == RUNNING && run_fence[r] == token_fence[r] && dead[run_session[r]])))
#define GONE(r, f) ((AWAY(r) && f <= run_fence[r] + 1) || (MUTANT == 11 && state[r] == RUNNING && run_fence[r] == f))
#define LEAVING(r, f) (AWAY(r) && f <= run_fence[r])
#define TROUBLED(r) (r == 0 || !RETURNING)
#define UNCLAIMED(r) (TROUBLED(r) && token[r] == HELD && WAITS(r) && run_fence[r] < token_fence[r])
#define EXPIRABLE(r) (!RETURNING && token[r] == HELD && state[r] == RUNNING && run_fence[r] == token_fence[r])
#define WITHDRAWABLE(r) (token[r] == WAITING && LEAVING(r, token_fence[r]))
#define RETURNABLE (returning && (token[0] == ABSENT || MUTANT == 8))
#define WORK(r) (WITHDRAWABLE(r) || UNAPPLIED(r) || GRANTABLE(r) || OVER(r) || UNCLAIMED(r) || EXPIRABLE(r))

proctype orchestrator(bit me) {
  byte r, f, held;
  byte view[RUNS], view_fence[RUNS], op[RUNS], op_fence[RUNS];
  bit mine;
end_idle:
  do
  :: atomic {
       WORK(0) || WORK(1) ->
       overtaken[me] = 0;                                       /* read the head with its redo list */
       op[0] = pend_op[0]; op[1] = pend_op[1]; op_fence[0] = pend_fence[0]; op_fence[1] = pend_fence[1]
     }
#if MUTANT != 2
     apply(0, op[0], op_fence[0]);
     apply(1, op[1], op_fence[1]);
#endif
     held = 0; r = 0;
     do
     :: r < RUNS ->
        atomic { view[r] = token[r]; view_fence[r] = token_fence[r]; op[r] = NONE; op_fence[r] = 0 }
        if
#if RETURNING
        :: atomic { view[r] == WAITING && LEAVING(r, view_fence[r]) ->
             op[r] = WITHDRAW; op_fence[r] = view_fence[r]; view[r] = NONE; view_fence[r] = 0 }
#endif
        :: view[r] == HELD ->
           f = view_fence[r];
           if
           :: atomic { state[r] == ENDED -> op[r] = RELEASE }
#if RETURNING
           :: atomic { GONE(r, f) -> op[r] = RELEASE }
#endif
           :: atomic { WAITS(r) && run_fence[r] >= f -> op[r] = REQUEUE }
           :: atomic { TROUBLED(r) && WAITS(r) && run_fence[r] < f ->  /* nobody claimed it in time: revoke, or wait longer */
#if MUTANT != 5
                run_fence[r] = f;
#endif
                op[r] = REQUEUE }
           :: atomic { !RETURNING && state[r] == RUNNING && run_fence[r] == f -> /* no heartbeat seen for a lease */
                dead[run_session[r]] = 1 }
#if MUTANT == 6
              op[r] = REQUEUE
#else
              atomic {                                          /* fence the run off, then free its slot */
                if
                :: state[r] == RUNNING && run_fence[r] == f && dead[run_session[r]] -> state[r] = QUEUED; op[r] = REQUEUE
                :: else -> if :: op[r] == NONE -> held++ :: else fi    /* it ended in between: it still counts */
                fi
              }
#endif
           :: held++                                            /* leave it alone this time */
           fi;
           f = 0;
           if :: op[r] != NONE -> op_fence[r] = view_fence[r] :: else fi;
           view[r] = NONE; view_fence[r] = 0
        :: else
        fi;
        r++
     :: else -> break
     od;
     atomic {                                                   /* decide */
       r = 0;
       do
       :: r < RUNS ->
          if
          :: view[r] == WAITING && held < LIMIT && view_fence[r] < GRANTS(r) ->
             op[r] = GRANT; op_fence[r] = view_fence[r] + 1; held++
          :: view[r] == WAITING && held < LIMIT                 /* or the other one first */
          :: else
          fi;
          r++
       :: else -> break
       od
     }
     atomic {                                                   /* commit the head */
       mine = 0;
       if
       :: (op[0] != NONE || op[1] != NONE) && (!overtaken[me] || MUTANT == 1) ->
          overtaken[1 - me] = 1; mine = 1; r = 0;
          do
          :: r < RUNS ->
             pend_op[r] = op[r]; pend_fence[r] = op_fence[r];
             if
             :: op[r] == GRANT ->
                assert(op_fence[r] > granted[r]);               /* fences only grow */
                granted[r] = op_fence[r]; holds[r] = 1; in_force++
             :: op[r] == RELEASE || op[r] == REQUEUE ->
                assert(granted[r] == op_fence[r]);
                holds[r] = 0; in_force--
             :: op[r] == WITHDRAW -> assert(!holds[r])
             :: else
             fi;
             r++
          :: else -> break
          od;
          assert(in_force <= LIMIT)
       :: else
       fi
     }
     if
     :: mine ->
        apply(0, op[0], op_fence[0]);
        apply(1, op[1], op_fence[1]);
        atomic {
          if :: op[0] == GRANT -> message[op_fence[0]] = 1 :: else fi;
          if :: op[1] == GRANT -> message[FENCES + op_fence[1]] = 1 :: else fi
        }
     :: else
     fi;
     atomic { r = 0; f = 0; held = 0; mine = 0; view[0] = 0; view[1] = 0; view_fence[0] = 0; view_fence[1] = 0;
              op[0] = 0; op[1] = 0; op_fence[0] = 0; op_fence[1] = 0 }
#if RETURNING
  :: atomic { RETURNABLE ->                                     /* one transaction: no token is there, and the run's mark goes */
       token[0] = WAITING; returning = 0;
       token_fence[0] = (MUTANT == 9 -> 0 : run_fence[0]) }
#endif
  od
}

#if RETURNING
proctype others() {                                             /* a user who pauses, and whoever ends a pause or a wait */
end_idle:
  do
  :: atomic { WAITS(0) && !gave_up -> gave_up = 1; state[0] = RESTING }
  :: atomic { state[0] == RESTING -> state[0] = QUEUED; returning = 1;
#if MUTANT != 7
       run_fence[0]++
#endif
     }
  od
}
#endif

#if MUTANT == 3
#define CLAIMABLE(r, f) (message[r * FENCES + f] && state[r] == QUEUED)
#else
#define CLAIMABLE(r, f) (message[r * FENCES + f] && state[r] == QUEUED && run_fence[r] < f)
#endif
#if MUTANT == 4
#define MINE (state[r] == RUNNING)
#else
#define MINE (state[r] == RUNNING && run_fence[r] == f)
#endif

inline claim(which, fence) {
  r = which; f = fence;
  if :: f > run_fence[r] -> run_fence[r] = f :: else fi;
  state[r] = RUNNING; run_session[r] = session
}

proctype runner(byte session) {
  byte r, f;
end_idle:
  do
  :: atomic { CLAIMABLE(0, 1) -> claim(0, 1); break }
  :: atomic { CLAIMABLE(0, 2) -> claim(0, 2); break }
#if RETURNING
  :: atomic { CLAIMABLE(0, 3) -> claim(0, 3); break }
#endif
  :: atomic { CLAIMABLE(1, 1) -> claim(1, 1); break }
  :: atomic { CLAIMABLE(1, 2) -> claim(1, 2); break }
  od;
  if                                                            /* one stage: the effect and its commit */
  :: atomic { MINE && !stage_done[r] -> stage_done[r] = 1; assert(granted[r] == f && holds[r]) }
  :: atomic { !MINE || stage_done[r] }
#if RETURNING
  :: atomic { MINE && r == 0 && !stage_done[0] && !gave_up ->   /* it rests: the stage will begin anew */
       gave_up = 1; state[0] = RESTING; r = 0; f = 0; goto end_idle }
#endif
  :: atomic { !killed -> killed = 1; session = 2; r = 0; f = 0; goto end_idle }    /* kill -9 */
  fi;
  if                                                            /* the end of the run */
  :: atomic { MINE -> assert(stage_done[r]); state[r] = ENDED }
#if RETURNING
  :: atomic { MINE && r == 0 && !gave_up -> gave_up = 1;        /* it yields: another grant goes on after this stage */
       state[0] = QUEUED }
#endif
  :: atomic { !MINE }
  :: atomic { !killed -> killed = 1; session = 2; r = 0; f = 0; goto end_idle }
  fi;
  atomic { r = 0; f = 0; goto end_idle }
}

init {
  atomic {
    token[0] = WAITING; token[1] = WAITING;
#if RETURNING
    killed = 1; run others();
#endif
    run orchestrator(0); run orchestrator(1); run runner(0); run runner(1)
  }
  atomic {
    timeout ->                                                  /* nothing can move any more */
    assert(!returning && state[0] != RESTING);
    assert((state[0] == ENDED && token[0] == ABSENT) || token_fence[0] >= GRANTS(0));
    assert((state[1] == ENDED && token[1] == ABSENT) || token_fence[1] == GRANTS(1));
    assert(token[0] != HELD && token[1] != HELD);
    assert(in_force == 0)
  }
}
