# Les textes en français. `en.ftl` explique les parties du fichier.

phrase-added = A ajouté { $object }
phrase-arranged = A organisé { $object }
phrase-attended = A participé à { $object }
    .label = A participé
phrase-clicked = A cliqué sur { $object }
    .label = A cliqué
phrase-completed = A terminé { $object }
phrase-enrolled_for = Inscription à { $object }
    .label = Inscription
phrase-unenrolled = Désinscription de { $object }
    .label = Désinscription
phrase-failed = A échoué à { $object }
    .label = A échoué
phrase-received_certificate_for = A obtenu le certificat pour { $object }
    .label = A obtenu le certificat
phrase-started = A commencé { $object }
phrase-updated = A mis à jour { $object }
phrase-viewed = A consulté { $object }
phrase-logged_in = Connexion à { $object }
    .label = Connexion
phrase-logged_out = Déconnexion de { $object }
    .label = Déconnexion
phrase-read = A lu { $object }
phrase-watched = A regardé { $object }
phrase-listened_to = A écouté { $object }
phrase-accepted = A accepté { $object }
phrase-assigned = Attribution de { $object }
    .label = Attribution
phrase-unassigned = Retrait de l’attribution de { $object }
    .label = Retrait de l’attribution
phrase-downloaded = A téléchargé { $object }
phrase-submitted = A remis { $object }
phrase-answered = Réponse à { $object }
    .label = Réponse
phrase-graded = Note reçue pour { $object }
    .label = Note reçue
phrase-visited = A visité { $object }
phrase-other = { $verb } : { $object }
    .label = Autre

phrase-passed = A réussi { $object }
phrase-waived = Dispense de { $object }
    .label = Dispense
phrase-satisfied = A rempli les exigences de { $object }
    .label = A rempli les exigences
phrase-followed = A suivi { $object }
phrase-joined = A rejoint { $object }
phrase-left = A quitté { $object }
phrase-liked = A aimé { $object }
phrase-received = A reçu { $object }
phrase-removed = A retiré { $object }
phrase-asked_about = A posé une question sur { $object }
    .label = A posé une question
phrase-commented_on = A commenté { $object }
phrase-progressed_in = A progressé dans { $object }
    .label = A progressé
phrase-responded_to = A répondu à { $object }
    .label = A répondu
phrase-resumed = A repris { $object }
phrase-shared = A partagé { $object }
phrase-suspended = A suspendu { $object }
phrase-terminated = A quitté la session de { $object }
    .label = A quitté la session
phrase-bookmarked = A ajouté un signet à { $object }
    .label = A ajouté un signet
phrase-earned = A gagné { $object }
phrase-was_live_in = A participé en direct à { $object }
    .label = A participé en direct
phrase-replied_to = A réagi à { $object }
    .label = A réagi
phrase-abandoned = A abandonné { $object }
phrase-navigated_to = A ouvert la page { $object }
    .label = A ouvert la page
phrase-voted_for = A voté pour { $object }
    .label = A voté
phrase-achieved = A atteint { $object }
phrase-paused = A mis en pause { $object }
phrase-played = A lancé la lecture de { $object }
    .label = A lancé la lecture
phrase-skipped_within = A changé de position dans { $object }
    .label = A changé de position
phrase-exceeded_time_limit_of = A dépassé la durée limite de { $object }
    .label = A dépassé la durée limite
phrase-subscribed_to = Abonnement à { $object }
    .label = Abonnement
phrase-undid_completion_of = A annulé l’achèvement de { $object }
    .label = A annulé l’achèvement
phrase-unlocked = A débloqué { $object }
phrase-unsubscribed_from = Désabonnement de { $object }
    .label = Désabonnement

sentence =
    .certificate = certificat
archived-title = { $title } (archivé)
part-in-content = { $part } dans { $content }
with-score = { $sentence } avec un score de { $percent }
with-time = { $sentence } en { $time }
with-recorder = { $sentence }, achèvement indiqué par { $recorder }

part =
    .question = une question
    .objective = un objectif
    .step = une étape
    .solution = une solution
    .hint = un indice
    .review = une révision
    .part = une partie
part-with-title = «{ "\u00A0" }{ $title }{ "\u00A0" }»
part-with-number = la question { $number }

number =
    .decimal = ,
    .thousands = { "\u202F" }
percent = { $number }{ "\u00A0" }%
time-days = { $count ->
    [one] { $count } jour
   *[other] { $count } jours
}
time-hours = { $count ->
    [one] { $count } heure
   *[other] { $count } heures
}
time-minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
time-seconds = { $count ->
    [one] { $count } seconde
   *[other] { $count } secondes
}
time-two-units = { $larger } { $smaller }
date = { $day ->
    [1] 1er
   *[other] { $day }
} { $month } { $year }
month-and-year = { $month } { $year }
week-of = Semaine du { $date }
moment = { $date } à { $time }
month =
    .m01 = janvier
    .m02 = février
    .m03 = mars
    .m04 = avril
    .m05 = mai
    .m06 = juin
    .m07 = juillet
    .m08 = août
    .m09 = septembre
    .m10 = octobre
    .m11 = novembre
    .m12 = décembre
month-of-date =
    .m01 = janvier
    .m02 = février
    .m03 = mars
    .m04 = avril
    .m05 = mai
    .m06 = juin
    .m07 = juillet
    .m08 = août
    .m09 = septembre
    .m10 = octobre
    .m11 = novembre
    .m12 = décembre

type =
    .item = Contenu
    .learnlist = Liste d’apprentissage
    .channel = Chaîne
    .event = Événement
    .quiz = Quiz
    .survey = Enquête
    .exercise = Exercice
    .learning_plan = Parcours de formation
    .certification = Certification
content-type =
    .video = Vidéo
    .article = Article
    .book = Livre
    .document = Document
    .audio = Audio
    .scorm = SCORM
    .xapi = xAPI
    .course = Cours
    .link = Lien
    .other = Autre
role =
    .owner = Propriétaire
    .admin = Administration
    .hr = Ressources humaines
    .reporter = Reporting
    .learning_designer = Conception pédagogique
    .curator = Curation
    .manager = Responsable
    .learner = Apprenant·e
origin =
    .xapi = xAPI
    .scorm = SCORM
    .api = API
    .manual = Saisie manuelle
    .import = Importation
    .system = Système
state =
    .not_started = Non commencé
    .in_progress = En cours
    .failed = Échoué
    .completed = Terminé
    .expired = Expiré
attempt =
    .submitted = Remis
    .graded = Noté
result =
    .passed = Réussi
    .failed = Échoué
grade =
    .passed = Réussi
    .failed = Échoué
status =
    .active = Actif
    .deactivated = Désactivé
answer =
    .yes = Oui
    .no = Non
none =
    .team = Aucune équipe
    .content = Aucun contenu
    .type = Non renseigné
    .result = Aucun résultat

heading =
    .first-name = Prénom
    .last-name = Nom
    .email-address = Adresse e-mail
    .role = Rôle
    .job-title = Fonction
    .language = Langue
    .location = Lieu
    .join-date = Date d’entrée
    .manager-name = Nom du responsable
    .primary-team = Équipe principale
    .secondary-teams = Équipes secondaires
    .status-at-time-of-export = Statut (au moment de l’export)
    .deactivated = Désactivé le
    .action = Action
    .title = Titre
    .type = Type
    .content-type = Type de contenu
    .unique-id = Identifiant unique
    .happened-at = Date et heure
    .completed = Terminé
    .expired-at = Expiré le
    .tags = Étiquettes
    .e-learning-quiz-result = Résultat e-learning / quiz
    .e-learning-quiz-score = Score e-learning / quiz
    .e-learning-quiz-total-time = Durée totale e-learning / quiz
    .total-time-in-seconds = Durée totale en secondes
    .certificate-expires-at = Le certificat expire le
    .activity-id = ID de l’activité
    .user-id = ID de l’utilisateur
    .verb = Verbe
    .device-type = Type d’appareil
    .origin = Origine
    .recorded-by = Enregistré par
    .source = Source
    .cpd-labels = Catégories de FPC
    .certificate-name = Nom du certificat
    .registration = Enregistrement
    .identifier = Identifiant
    .manager-id = ID du responsable
    .team-ids = ID des équipes
    .archived = Archivé
    .score = Score
    .time-limit-exceeded = Durée limite dépassée
    .stored-at = Enregistré le
    .progress = Progression
    .since = Depuis
    .expires-at = Expire le
    .certificate-awarded-at = Certificat délivré le
    .question = Question
    .question-id = ID de la question
    .question-type = Type de question
    .response = Réponse
    .correct-response = Bonne réponse
    .correct = Correct
    .seconds = Secondes
    .recorded-response = Réponse enregistrée
    .started-at = Commencé le
    .ended-at = Terminé le
    .answered = Questions répondues
    .right = Bonnes réponses
    .status = Statut
    .submitted-at = Remis le
    .submitted-text = Texte remis
    .submitted-files = Fichiers remis
    .graded-at = Noté le
    .graded-by = Noté par
    .grader-id = ID du correcteur
    .result = Résultat
    .points = Points
    .greatest-points = Points maximum
    .submission-comment = Commentaire de la remise
    .grader-comment = Commentaire du correcteur
    .grader-files = Fichiers du correcteur
    .submission-id = ID de la remise
    .grade-id = ID de la note

mail =
    .report = Rapport
    .period = Période
    .rows = Lignes
    .run = Exécution
    .scheduled-by = Planifié par
    .sent-to = Envoyé à
mail-subject = { $report }, { $dates }
period =
    .today = le jour de l’exécution
    .yesterday = la veille
    .last_7_days = les 7 derniers jours
    .last_30_days = les 30 derniers jours
    .this_month = le mois de l’exécution
    .previous_week = la semaine précédente
    .previous_month = le mois précédent
    .previous_quarter = le trimestre précédent
    .previous_year = l’année précédente
period-with-dates = { $period } : { $dates }
window =
    .all = toute la période
window-from = à partir du { $start }
window-to = jusqu’au { $end }
window-between = du { $start } au { $end }
recipients =
    .alone = vous uniquement
recipients-one = vous et { $last }
recipients-several = vous, { $names } et { $last }
recipients-more = { $count ->
    [one] { $count } autre
   *[other] { $count } autres
}
rows-in-file = { $gzipped ->
    [yes] Les lignes se trouvent dans le fichier joint { $file }, compressé avec gzip.
   *[no] Les lignes se trouvent dans le fichier joint { $file }.
}
no-rows-in-file = { $gzipped ->
    [yes] Il n’y a aucune ligne cette fois-ci. Le fichier joint { $file }, compressé avec gzip, ne contient que les en-têtes.
   *[no] Il n’y a aucune ligne cette fois-ci. Le fichier joint { $file } ne contient que les en-têtes.
}
rows-at-link = Les lignes sont trop nombreuses pour être jointes. Vous pouvez les télécharger ici jusqu’au { $expires } ({ $zone }) :
rows-skipped = Lignes manquantes parce qu’elles ne peuvent pas être lues : { $rows }. Veuillez prévenir l’exploitant du serveur.
mail-sentence =
    .keep-link-private = Toute personne disposant de ce lien peut l’ouvrir : ne le transmettez pas.
    .own-rows = Le rapport contient les lignes que vous êtes en droit de voir.
    .stop-own = Vous recevez ce message car vous figurez sur la liste d’une planification que vous avez créée. Pour ne plus le recevoir, retirez-vous de la liste, ou suspendez ou supprimez la planification.
rows-of-both = Le rapport contient les lignes que { $maker } et vous êtes en droit de voir.
rows-of-maker = Le rapport contient les lignes que { $maker } est en droit de voir.
stop-of-maker = { $shared ->
    [yes] Vous recevez ce message car { $maker } a ajouté votre adresse à la liste de cette planification. Pour ne plus le recevoir, demandez à { $maker } ou à l’administration de l’organisation de vous retirer de la liste, ou de suspendre ou supprimer la planification.
   *[no] Vous recevez ce message car { $maker } a ajouté votre adresse à la liste de cette planification. Pour ne plus le recevoir, demandez à { $maker } de vous retirer de la liste, ou de suspendre ou supprimer la planification.
}

timing-daily = tous les jours à { $time } ({ $zone })
timing-weekly = { $weekday } à { $time } ({ $zone })
timing-monthly = chaque mois { $day } à { $time } ({ $zone })
timing-quarterly = chaque trimestre { $day } du premier mois à { $time } ({ $zone })
every =
    .monday = chaque lundi
    .tuesday = chaque mardi
    .wednesday = chaque mercredi
    .thursday = chaque jeudi
    .friday = chaque vendredi
    .saturday = chaque samedi
    .sunday = chaque dimanche
day-of-month = { $day ->
    [1] le 1er
   *[other] le { $day }
}
day-or-last-day = { $day } ou le dernier jour
