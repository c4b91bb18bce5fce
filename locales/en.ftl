# The English texts. Another language is another file with the same keys, named by its tag, such as `de.ftl`.
#
# A message `phrase-…` is what a person did. Its value is the phrase with the place of the object: a title, or a part of a
# content and the title. The phrase can be before the object, after it, or on both sides. The gender of the person is unknown.
# `.label` is the label of the action; without it, the label is the words of the phrase with a capital letter. `.alone` is the
# phrase without an object; without it, the phrase is the label.
#
# Other messages with attributes are groups of labels. Labels, headings and names of months stand alone in files: they contain no
# comma and no quotation mark.

# --- What a person did: actions, then verbs with words of their own

phrase-added = Added { $object }
phrase-arranged = Arranged { $object }
phrase-attended = Attended { $object }
phrase-clicked = Clicked { $object }
phrase-completed = Completed { $object }
phrase-enrolled_for = Enrolled for { $object }
    .alone = Enrolled
phrase-unenrolled = Unenrolled from { $object }
    .label = Unenrolled
phrase-failed = Failed { $object }
phrase-received_certificate_for = Received certificate for { $object }
    .alone = Received certificate
phrase-started = Started { $object }
phrase-updated = Updated { $object }
phrase-viewed = Viewed { $object }
phrase-logged_in = Logged in { $object }
phrase-logged_out = Logged out { $object }
phrase-read = Read { $object }
phrase-watched = Watched { $object }
phrase-listened_to = Listened to { $object }
    .alone = Listened
phrase-accepted = Accepted { $object }
phrase-assigned = Assigned { $object }
phrase-unassigned = Unassigned { $object }
phrase-downloaded = Downloaded { $object }
phrase-submitted = Submitted { $object }
phrase-answered = Answered { $object }
phrase-graded = Graded { $object }
phrase-visited = Visited { $object }
# A verb that no language has. `$verb` is its display in the records.
phrase-other = { $verb } { $object }
    .label = Other

phrase-passed = Passed { $object }
phrase-waived = Waived { $object }
phrase-satisfied = Satisfied { $object }
phrase-followed = Followed { $object }
phrase-joined = Joined { $object }
phrase-left = Left { $object }
phrase-liked = Liked { $object }
phrase-received = Received { $object }
phrase-removed = Removed { $object }
phrase-asked_about = Asked about { $object }
phrase-commented_on = Commented on { $object }
    .alone = Commented
phrase-progressed_in = Progressed in { $object }
    .alone = Progressed
phrase-responded_to = Responded to { $object }
    .alone = Responded
phrase-resumed = Resumed { $object }
phrase-shared = Shared { $object }
phrase-suspended = Suspended { $object }
phrase-terminated = Terminated { $object }
phrase-bookmarked = Bookmarked { $object }
phrase-earned = Earned { $object }
phrase-was_live_in = Was live in { $object }
    .alone = Was live
phrase-replied_to = Replied to { $object }
    .alone = Replied
phrase-abandoned = Abandoned { $object }
phrase-navigated_to = Navigated to { $object }
    .alone = Navigated
phrase-voted_for = Voted for { $object }
    .alone = Voted
phrase-achieved = Achieved { $object }
phrase-paused = Paused { $object }
phrase-played = Played { $object }
phrase-skipped_within = Skipped within { $object }
    .alone = Skipped
phrase-exceeded_time_limit_of = Exceeded the time limit of { $object }
    .alone = Exceeded the time limit
phrase-subscribed_to = Subscribed to { $object }
    .alone = Subscribed
phrase-undid_completion_of = Undid the completion of { $object }
    .alone = Undid the completion
phrase-unlocked = Unlocked { $object }
phrase-unsubscribed_from = Unsubscribed from { $object }
    .alone = Unsubscribed

# --- Sentences

# A title that begins with this word needs no other word for a certificate. In lower case.
sentence =
    .certificate = certificate
archived-title = { $title } (Archived)
part-in-content = { $part } in { $content }
with-score = { $sentence } scoring { $percent }
with-time = { $sentence } in { $time }
with-recorder = { $sentence }, marked complete by { $recorder }

# A part of a content.
part =
    .question = a question
    .objective = an objective
    .step = a step
    .solution = a solution
    .hint = a hint
    .review = a review
    .part = a part
part-with-title = "{ $title }"
part-with-number = question { $number }

# --- Durations, dates and numbers

number =
    .decimal = .
    .thousands = ,
percent = { $number }%
time-days = { $count ->
    [one] { $count } day
   *[other] { $count } days
}
time-hours = { $count ->
    [one] { $count } hour
   *[other] { $count } hours
}
time-minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
time-seconds = { $count ->
    [one] { $count } second
   *[other] { $count } seconds
}
time-two-units = { $larger } { $smaller }
date = { $day } { $month } { $year }
month-and-year = { $month } { $year }
week-of = Week of { $date }
moment = { $date }, { $time }
month =
    .m01 = January
    .m02 = February
    .m03 = March
    .m04 = April
    .m05 = May
    .m06 = June
    .m07 = July
    .m08 = August
    .m09 = September
    .m10 = October
    .m11 = November
    .m12 = December
# The month after the day of a date.
month-of-date =
    .m01 = January
    .m02 = February
    .m03 = March
    .m04 = April
    .m05 = May
    .m06 = June
    .m07 = July
    .m08 = August
    .m09 = September
    .m10 = October
    .m11 = November
    .m12 = December

# --- Labels

type =
    .item = Item
    .learnlist = Learnlist
    .channel = Channel
    .event = Event
    .quiz = Quiz
    .survey = Survey
    .exercise = Exercise
    .learning_plan = Learning plan
    .certification = Certification
content-type =
    .video = Video
    .article = Article
    .book = Book
    .document = Document
    .audio = Audio
    .scorm = SCORM
    .xapi = xAPI
    .course = Course
    .link = Link
    .other = Other
role =
    .owner = Owner
    .admin = Admin
    .hr = HR
    .reporter = Reporter
    .learning_designer = Learning designer
    .curator = Curator
    .manager = Manager
    .learner = Learner
origin =
    .xapi = xAPI
    .scorm = SCORM
    .api = API
    .manual = Manual
    .import = Import
    .system = System
state =
    .not_started = Not started
    .in_progress = In progress
    .failed = Failed
    .completed = Completed
    .expired = Expired
attempt =
    .submitted = Submitted
    .graded = Graded
# The result of activities, as a value of a filter.
result =
    .passed = Passed
    .failed = Failed
# The result of one activity, in a file.
grade =
    .passed = Pass
    .failed = Fail
status =
    .active = Active
    .deactivated = Deactivated
answer =
    .yes = Yes
    .no = No
none =
    .team = No team
    .content = No content
    .type = None
    .result = No result

# --- Headings of CSV files

heading =
    .first-name = First name
    .last-name = Last name
    .email-address = Email address
    .role = Role
    .job-title = Job title
    .language = Language
    .location = Location
    .join-date = Join date
    .manager-name = Manager name
    .primary-team = Primary team
    .secondary-teams = Secondary teams
    .status-at-time-of-export = Status (at time of export)
    .deactivated = Deactivated
    .action = Action
    .title = Title
    .type = Type
    .content-type = Content Type
    .unique-id = Unique ID
    .happened-at = Happened at
    .completed = Completed
    .expired-at = Expired at
    .tags = Tags
    .e-learning-quiz-result = E-learning / Quiz result
    .e-learning-quiz-score = E-learning / Quiz score
    .e-learning-quiz-total-time = E-learning / Quiz total time
    .total-time-in-seconds = Total time in seconds
    .certificate-expires-at = Certificate expires at
    .activity-id = Activity ID
    .user-id = User ID
    .verb = Verb
    .device-type = Device type
    .origin = Origin
    .recorded-by = Recorded by
    .source = Source
    .cpd-labels = CPD labels
    .certificate-name = Certificate name
    .registration = Registration
    .identifier = Identifier
    .manager-id = Manager ID
    .team-ids = Team IDs
    .archived = Archived
    .score = Score
    .time-limit-exceeded = Time limit exceeded
    .stored-at = Stored at
    .progress = Progress
    .since = Since
    .expires-at = Expires at
    .certificate-awarded-at = Certificate awarded at
    .question = Question
    .question-id = Question ID
    .question-type = Question type
    .response = Response
    .correct-response = Correct response
    .correct = Correct
    .seconds = Seconds
    .recorded-response = Recorded response
    .started-at = Started at
    .ended-at = Ended at
    .answered = Answered
    .right = Right
    .status = Status
    .submitted-at = Submitted at
    .submitted-text = Submitted text
    .submitted-files = Submitted files
    .graded-at = Graded at
    .graded-by = Graded by
    .grader-id = Grader ID
    .result = Result
    .points = Points
    .greatest-points = Greatest points
    .submission-comment = Submission comment
    .grader-comment = Grader comment
    .grader-files = Grader files
    .submission-id = Submission ID
    .grade-id = Grade ID

# --- E-mails with reports

mail =
    .report = Report
    .period = Period
    .rows = Rows
    .run = Run
    .scheduled-by = Scheduled by
    .sent-to = Sent to
mail-subject = { $report }, { $dates }
period =
    .today = the day of the run
    .yesterday = the day before
    .last_7_days = the last 7 days
    .last_30_days = the last 30 days
    .this_month = the month of the run
    .previous_week = the week before
    .previous_month = the month before
    .previous_quarter = the quarter before
    .previous_year = the year before
period-with-dates = { $period }: { $dates }
window =
    .all = all time
window-from = from { $start }
window-to = to { $end }
window-between = { $start } to { $end }
recipients =
    .alone = you alone
recipients-one = you and { $last }
recipients-several = you, { $names } and { $last }
recipients-more = { $count } more
rows-in-file = { $gzipped ->
    [yes] The rows are in the attached file { $file }, compressed with gzip.
   *[no] The rows are in the attached file { $file }.
}
no-rows-in-file = { $gzipped ->
    [yes] There are no rows this time. The attached file { $file }, compressed with gzip has the headings alone.
   *[no] There are no rows this time. The attached file { $file } has the headings alone.
}
rows-at-link = The rows are too many to be attached. They can be downloaded here until { $expires } ({ $zone }):
rows-skipped = Rows that are missing because they cannot be read: { $rows }. Please tell the operator of the server.
mail-sentence =
    .keep-link-private = Whoever has this link can open it: please keep it to yourself.
    .own-rows = It holds the rows that you may see.
    .stop-own = You receive this because you are on the list of a schedule that you made. To stop it, take yourself off the list, or pause or delete the schedule.
rows-of-both = It holds the rows that both { $maker } and you may see.
rows-of-maker = It holds the rows that { $maker } may see.
stop-of-maker = { $shared ->
    [yes] You receive this because { $maker } put you on the list of this schedule. To stop it, ask { $maker } or an administrator of the organisation to take you off the list, or to pause or delete the schedule.
   *[no] You receive this because { $maker } put you on the list of this schedule. To stop it, ask { $maker } to take you off the list, or to pause or delete the schedule.
}

# --- When a schedule runs

timing-daily = every day at { $time } ({ $zone })
timing-weekly = { $weekday } at { $time } ({ $zone })
timing-monthly = every month { $day } at { $time } ({ $zone })
timing-quarterly = every quarter { $day } of its first month at { $time } ({ $zone })
every =
    .monday = every Monday
    .tuesday = every Tuesday
    .wednesday = every Wednesday
    .thursday = every Thursday
    .friday = every Friday
    .saturday = every Saturday
    .sunday = every Sunday
day-of-month = { $day ->
    [1] on the 1st
    [2] on the 2nd
    [3] on the 3rd
    [21] on the 21st
    [22] on the 22nd
    [23] on the 23rd
    [31] on the 31st
   *[other] on the { $day }th
}
# A day that some months do not have.
day-or-last-day = { $day }, or the month's last day,
